import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { z } from "zod";
import { createPrometheusMetrics } from "../../../adapters/node/telemetry/prometheus.ts";
import { parsePromql } from "./promql.ts";

const dashboard = z
  .object({
    panels: z.array(
      z.object({
        id: z.int(),
        title: z.string(),
        type: z.string(),
        targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).optional(),
      }),
    ),
    templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.string() })) }),
  })
  .parse(JSON.parse(readFileSync(new URL("../../../docs/grafana.json", import.meta.url), "utf8")));

/** As Grafana puts values for its variables. */
const filledIn = (expression: string): string =>
  expression.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "6h").replaceAll("$model", ".*");

const expressions = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: filledIn(expr) })),
);

/** A histogram's series have its name and one of these. */
const SUFFIX = /_(bucket|sum|count)$/;

it("every expression of the Grafana dashboard is PromQL about metrics that there are", async () => {
  const { text } = await createPrometheusMetrics({ knownModels: () => [] }).read();
  const defined = new Map(
    Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = "", type = ""]) => [name, type]),
  );
  expect(defined.size).toBeGreaterThan(30);
  expect(expressions.length).toBeGreaterThan(25);
  for (const { title, expr } of expressions) {
    const metrics = parsePromql(expr).filter(
      ({ name }) => name === "Identifier" || name === "MetricIdentifier",
    );
    const named = metrics
      .map((node) => node.text)
      .filter(
        (name) =>
          /_/.test(name) &&
          !/^(gen_ai_(request_model|token_type)|error_type|concord_(member|signal|direction|confidence_(kind|gap))|http_response_status_code)$/.test(
            name,
          ),
      );
    expect(named, title).not.toEqual([]);
    for (const name of named) {
      const base = name.replace(SUFFIX, "");
      const known = defined.has(name) || defined.get(base) === "histogram";
      expect(known, `${title}: ${name}`).toBe(true);
    }
  }
});

it("every metric of Concord's own is on the Grafana dashboard", async () => {
  const { text } = await createPrometheusMetrics({ knownModels: () => [] }).read();
  const own = Array.from(text.matchAll(/^# TYPE (concord_\S+) /gm), ([, name = ""]) => name);
  const shown = expressions.map(({ expr }) => expr).join("\n");
  expect(own.filter((name) => !shown.includes(name))).toEqual([]);
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "model"]);
});
