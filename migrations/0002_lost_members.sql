ALTER TABLE `request_members` ADD `lost_position` integer;--> statement-breakpoint
ALTER TABLE `request_members` ADD `lost_reason` text;