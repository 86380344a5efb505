import type { Child } from "hono/jsx";
import type { LogSize } from "../ports/observations.ts";
import type { Dataset } from "./dataset.ts";
import type { DashboardSources } from "./sources.ts";
import type { RangeName } from "./time-range.ts";
import type { View } from "./view.ts";

/** What a page has to go by. */
export interface PageRequest {
  readonly view: View;
  readonly sources: DashboardSources;
  /** The named part of the path, where the page is of one thing. */
  readonly name: string;
  readonly size: LogSize;
}

export interface PageContent {
  readonly title: string;
  /** One or two sentences under the title. */
  readonly lead?: Child;
  readonly body: Child;
  /** All that can be downloaded of it. */
  readonly data: readonly Dataset[];
  /** Asks to be read again every few seconds. */
  readonly live?: boolean;
}

export interface Page {
  /** Hono's pattern; `:name` where the page is of one thing. */
  readonly path: string;
  /** Parameters beside `download`. */
  readonly parameters: readonly string[];
  readonly defaultRange: RangeName;
  /** Which controls it has above. */
  readonly controls: "none" | "range" | "filter";
  /** @throws GatewayError not_found | invalid_request */
  make(request: PageRequest): Promise<PageContent>;
}
