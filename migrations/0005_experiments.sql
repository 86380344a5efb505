CREATE TABLE `experiments` (
	`id` integer PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`state` text NOT NULL,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`stopped_at` integer,
	`winner` text,
	`definition` text NOT NULL,
	`allocations` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `experiments_name_unique` ON `experiments` (`name`);--> statement-breakpoint
CREATE TABLE `exposure_counts` (
	`experiment` integer NOT NULL,
	`arm` text NOT NULL,
	`allocation` integer NOT NULL,
	`role` text NOT NULL,
	`status` text NOT NULL,
	`answers` integer NOT NULL,
	`units` integer NOT NULL,
	PRIMARY KEY(`experiment`, `arm`, `allocation`, `role`, `status`),
	FOREIGN KEY (`experiment`) REFERENCES `experiments`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `exposures` (
	`id` integer PRIMARY KEY NOT NULL,
	`experiment` integer NOT NULL,
	`request_id` text NOT NULL,
	`answer_id` text NOT NULL,
	`arm` text NOT NULL,
	`role` text NOT NULL,
	`unit` text NOT NULL,
	`allocation` integer NOT NULL,
	`assigned_at` integer NOT NULL,
	`ended_at` integer NOT NULL,
	`status` text NOT NULL,
	`latency_ms` real,
	`completion_tokens` integer,
	`chosen` integer,
	`prompt_characters` integer NOT NULL,
	`first_arm` text NOT NULL,
	FOREIGN KEY (`experiment`) REFERENCES `experiments`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `exposures_answer_id_unique` ON `exposures` (`answer_id`);--> statement-breakpoint
CREATE INDEX `exposures_by_request` ON `exposures` (`request_id`);--> statement-breakpoint
CREATE INDEX `exposures_by_unit` ON `exposures` (`unit`,`experiment`);--> statement-breakpoint
CREATE TABLE `feedback` (
	`id` integer PRIMARY KEY NOT NULL,
	`feedback_id` text NOT NULL,
	`key` text NOT NULL,
	`experiment` text,
	`metric` text NOT NULL,
	`answer_id` text,
	`request_id` text,
	`unit` text,
	`kind` text NOT NULL,
	`number` real,
	`text` text,
	`tags` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `feedback_key_unique` ON `feedback` (`key`);--> statement-breakpoint
CREATE INDEX `feedback_by_answer` ON `feedback` (`answer_id`);--> statement-breakpoint
CREATE INDEX `feedback_by_metric` ON `feedback` (`experiment`,`metric`,`id`);--> statement-breakpoint
CREATE UNIQUE INDEX `feedback_id` ON `feedback` (`feedback_id`);--> statement-breakpoint
CREATE TABLE `judgeable_answers` (
	`id` integer PRIMARY KEY NOT NULL,
	`answer_id` text NOT NULL,
	`request_id` text NOT NULL,
	`created_at` integer NOT NULL,
	`choices` text NOT NULL,
	`chosen` integer,
	`forecast_by` text,
	`probabilities` blob
);
--> statement-breakpoint
CREATE UNIQUE INDEX `judgeable_answers_answer_id_unique` ON `judgeable_answers` (`answer_id`);--> statement-breakpoint
CREATE INDEX `judgeable_answers_by_request` ON `judgeable_answers` (`request_id`);--> statement-breakpoint
CREATE INDEX `judgeable_answers_by_forecast` ON `judgeable_answers` (`forecast_by`);