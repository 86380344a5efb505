ALTER TABLE `requests` ADD `answered_by` text;--> statement-breakpoint
ALTER TABLE `requests` ADD `not_fused` text;