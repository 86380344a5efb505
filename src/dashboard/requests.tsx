/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import { GatewayError } from "../ports/gateway-error.ts";
import { answersData } from "./answers-table.tsx";
import type { Page } from "./page.ts";
import { Card, DataTable, Empty, FirstQuestion, NothingInRange } from "./pieces.tsx";
import { changed, FILTER_PARAMETERS, oneOf, RANGE_PARAMETERS, wholeNumber } from "./view.ts";

const PAGE = 50;
const MOST = 1000;

/** Answers one by one: those with the most disagreement first, or the newest. */
export const requestsPage: Page = {
  path: "/requests",
  parameters: [...RANGE_PARAMETERS, ...FILTER_PARAMETERS, "order", "limit", "cursor"],
  defaultRange: "24h",
  controls: "filter",
  async make({ view, sources, size }) {
    const order = oneOf(view, "order", ["disagreement", "time"]);
    const limit = wholeNumber(view, "limit", 1, MOST) ?? PAGE;
    const cursor = view.parameters["cursor"];
    const { answers, next } = await sources.observations
      .answers({ range: view.range, filter: view.filter, order, limit, cursor })
      .catch((cause: unknown) => {
        if (cursor === undefined || !(cause instanceof RangeError)) throw cause;
        const message = "cursor: expected what the link to the next page has. Begin at the first page.";
        throw new GatewayError("invalid_request", message, { param: "cursor", cause });
      });
    const data = answersData("requests", "Requests", answers);
    const orders = (
      <nav class="ranges" aria-label="Order">
        <a
          href={changed(view, { order: undefined })}
          aria-current={order === "disagreement" ? "true" : undefined}
        >
          Most disagreed first
        </a>
        <a href={changed(view, { order: "time" })} aria-current={order === "time" ? "true" : undefined}>
          Newest first
        </a>
      </nav>
    );
    return {
      title: "Requests",
      lead: "One answer a line. Open one to see it token by token.",
      data: [data],
      body: (
        <>
          {orders}
          {answers.length > 0 ? (
            <Card title={order === "time" ? "Newest" : "Most disagreed"}>
              <DataTable data={data} view={view} />
              {limit < MOST ? (
                <p class="small faint">
                  A file has what the page shows:{" "}
                  <a href={changed(view, { limit: `${MOST}` })}>show {MOST} a page</a>. The whole log comes
                  from <code>concord log export</code>.
                </p>
              ) : null}
            </Card>
          ) : next !== null ? (
            <Empty title="None found so far">
              <p>What fits is rare: a bounded part of the log was looked through.</p>
            </Empty>
          ) : size.answers === 0 ? (
            <FirstQuestion view={view} keyed={sources.apiKey !== undefined} />
          ) : (
            <NothingInRange view={view} />
          )}
          <nav class="pager" aria-label="Pages of the list">
            {cursor === undefined ? null : <a href={changed(view, {})}>First page</a>}
            {next === null ? null : (
              <a href={changed(view, { cursor: next })} rel="next">
                Next page
              </a>
            )}
          </nav>
        </>
      ),
    };
  },
};
