CREATE TABLE `probes` (
	`id` integer PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`version` integer NOT NULL,
	`created_at` integer NOT NULL,
	`task` text NOT NULL,
	`labels` text NOT NULL,
	`members` text NOT NULL,
	`space` text NOT NULL,
	`depth` text NOT NULL,
	`dimension` integer NOT NULL,
	`ridge` real NOT NULL,
	`examples` integer NOT NULL,
	`metrics` text,
	`calibrations` text NOT NULL,
	`weights` blob NOT NULL,
	`bias` blob NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `probes_name_version` ON `probes` (`name`,`version`);