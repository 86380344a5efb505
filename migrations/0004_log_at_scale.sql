CREATE TABLE `alerts` (
	`id` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`signal` text NOT NULL,
	`member` text,
	`direction` text NOT NULL,
	`value` real NOT NULL,
	`reference` real NOT NULL,
	`false_alarm_rate` real NOT NULL
);
--> statement-breakpoint
CREATE INDEX `alerts_by_time` ON `alerts` (`at`);--> statement-breakpoint
CREATE TABLE `layer_similarities` (
	`start` integer NOT NULL,
	`end` integer NOT NULL,
	`member_a` text NOT NULL,
	`member_b` text NOT NULL,
	`layer_a` integer NOT NULL,
	`layer_b` integer NOT NULL,
	`value` real NOT NULL,
	`positions` integer NOT NULL,
	PRIMARY KEY(`start`, `member_a`, `member_b`, `layer_a`, `layer_b`)
);
--> statement-breakpoint
CREATE TABLE `log_progress` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `request_traces` (
	`request` integer PRIMARY KEY NOT NULL,
	`numbers` blob NOT NULL,
	`tokens` text,
	FOREIGN KEY (`request`) REFERENCES `requests`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `rollups` (
	`width_ms` integer NOT NULL,
	`start` integer NOT NULL,
	`model` text NOT NULL,
	`answered_by` text NOT NULL,
	`degraded` integer NOT NULL,
	`experiment` text NOT NULL,
	`arm` text NOT NULL,
	`answers` integer NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`latency` blob NOT NULL,
	`first_token` blob NOT NULL,
	`divergence_answers` integer NOT NULL,
	`divergence_sum` real NOT NULL,
	`top1_answers` integer NOT NULL,
	`top1_sum` real NOT NULL,
	`distance_answers` integer NOT NULL,
	`distance_sum` real NOT NULL,
	`confidence_answers` integer NOT NULL,
	`confidence_sum` real NOT NULL,
	`members` text NOT NULL,
	PRIMARY KEY(`width_ms`, `start`, `model`, `answered_by`, `degraded`, `experiment`, `arm`)
);
--> statement-breakpoint
ALTER TABLE `requests` ADD `positions` integer;--> statement-breakpoint
ALTER TABLE `requests` ADD `top1_agreement` real;--> statement-breakpoint
ALTER TABLE `requests` ADD `state_distance` real;--> statement-breakpoint
ALTER TABLE `requests` ADD `bits_per_byte` real;--> statement-breakpoint
ALTER TABLE `requests` ADD `entropy` real;--> statement-breakpoint
ALTER TABLE `requests` ADD `confidence` real;--> statement-breakpoint
ALTER TABLE `requests` ADD `confidence_kind` text;--> statement-breakpoint
ALTER TABLE `requests` ADD `degraded` integer;--> statement-breakpoint
ALTER TABLE `requests` ADD `experiment` text;--> statement-breakpoint
ALTER TABLE `requests` ADD `arm` text;--> statement-breakpoint
INSERT INTO `log_progress` (`name`, `value`) SELECT 'fold_end', coalesce(max(`id`), 0) FROM `requests`;--> statement-breakpoint
INSERT INTO `log_progress` (`name`, `value`) VALUES ('fold_next', 1);
