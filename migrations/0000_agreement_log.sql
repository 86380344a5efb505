CREATE TABLE `agreement_metrics` (
	`request` integer NOT NULL,
	`metric` text NOT NULL,
	`value` real NOT NULL,
	PRIMARY KEY(`request`, `metric`),
	FOREIGN KEY (`request`) REFERENCES `requests`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `request_members` (
	`request` integer NOT NULL,
	`position` integer NOT NULL,
	`member` text NOT NULL,
	`weight` real NOT NULL,
	`bits_per_byte` real,
	`top1_agreement` real,
	`entropy` real,
	`latency_ms` real NOT NULL,
	`abstained_positions` integer,
	`abstained_reason` text,
	PRIMARY KEY(`request`, `position`),
	FOREIGN KEY (`request`) REFERENCES `requests`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `request_texts` (
	`request` integer PRIMARY KEY NOT NULL,
	`prompt` text NOT NULL,
	`answer` text NOT NULL,
	FOREIGN KEY (`request`) REFERENCES `requests`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `requests` (
	`id` integer PRIMARY KEY NOT NULL,
	`request_id` text NOT NULL,
	`created_at` integer NOT NULL,
	`endpoint` text NOT NULL,
	`model` text NOT NULL,
	`prompt_tokens` integer NOT NULL,
	`completion_tokens` integer NOT NULL,
	`finish_reason` text NOT NULL,
	`latency_ms` real NOT NULL,
	`first_token_ms` real,
	`js_divergence` real
);
--> statement-breakpoint
CREATE UNIQUE INDEX `requests_request_id_unique` ON `requests` (`request_id`);--> statement-breakpoint
CREATE INDEX `requests_by_disagreement` ON `requests` (`js_divergence`,`created_at`);--> statement-breakpoint
CREATE INDEX `requests_by_model_and_disagreement` ON `requests` (`model`,`js_divergence`,`created_at`);--> statement-breakpoint
CREATE INDEX `requests_by_time` ON `requests` (`created_at`);--> statement-breakpoint
CREATE INDEX `requests_by_model_and_time` ON `requests` (`model`,`created_at`);