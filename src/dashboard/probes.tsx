/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */
import type { ProbeSummary } from "../ports/probe-store.ts";
import { dataset } from "./dataset.ts";
import { count, orDash, percent, three } from "./format.ts";
import type { Page } from "./page.ts";
import { Bar, Card, Command, DataTable, Empty, Time } from "./pieces.tsx";

/** The probes there are, and how well each did on examples that it had not learned from. */
export const probesPage: Page = {
  path: "/probes",
  parameters: [],
  defaultRange: "24h",
  controls: "none",
  async make({ view, sources }) {
    const probes = (await sources.probes?.list()) ?? [];
    const data = probeData(probes);
    return {
      title: "Probes",
      lead: "Classes and numbers taught from examples: linear heads on the space that all members share. Metrics are of examples that the head had not seen.",
      data: [data],
      body:
        sources.probes === undefined ? (
          <Empty title="No probes here">
            <p>
              This gateway serves no probes: they need the sentence encoders, which <code>concord serve</code>{" "}
              opens.
            </p>
          </Empty>
        ) : probes.length === 0 ? (
          <Empty title="No probes yet">
            <p>Teach one from examples; two classes and a few texts of each are enough to begin with:</p>
            <Command
              id="first-probe"
              text={`curl ${view.origin}/v1/probes \\
  -H 'content-type: application/json'${sources.apiKey === undefined ? "" : ` \\\n  -H "authorization: Bearer $CONCORD_API_KEY"`} \\
  -d '{"name": "topic", "examples": [
    {"text": "The strings are out of tune.", "label": "music"},
    {"text": "I lost my password.", "label": "account"}]}'`}
            />
          </Empty>
        ) : (
          <Card title={`${count(probes.length)} ${probes.length === 1 ? "version" : "versions"}`}>
            <DataTable data={data} view={view} />
          </Card>
        ),
    };
  },
};

function probeData(probes: readonly ProbeSummary[]) {
  return dataset("probes", "Probes", probes, [
    {
      name: "name",
      title: "Probe",
      value: ({ name }) => name,
      cell: ({ name, version }) => <b>{`${name}@${version}`}</b>,
    },
    { name: "version", title: "Version", cell: null, value: ({ version }) => version },
    {
      name: "task",
      title: "Tells",
      value: ({ task }) => task,
      cell: ({ task, labels }) =>
        task === "regression" ? "a number" : <span title={labels.join(", ")}>{labels.length} classes</span>,
    },
    { name: "labels", title: "Classes", cell: null, value: ({ labels }) => labels.join("; ") },
    {
      name: "examples",
      title: "Examples",
      numeric: true,
      value: ({ examples }) => examples,
      cell: ({ examples }) => count(examples),
    },
    {
      name: "accuracy",
      title: "Right",
      numeric: true,
      value: ({ metrics }) => (metrics?.task === "classification" ? metrics.accuracy : null),
      cell: ({ metrics }) =>
        metrics?.task === "classification" ? (
          <>
            {percent(metrics.accuracy)}
            <Bar share={metrics.accuracy} />
          </>
        ) : (
          "–"
        ),
    },
    {
      name: "majority",
      title: "Most frequent class",
      numeric: true,
      value: ({ metrics }) => (metrics?.task === "classification" ? metrics.majority : null),
      cell: ({ metrics }) => orDash(metrics?.task === "classification" ? metrics.majority : null, percent),
    },
    {
      name: "calibration_error",
      title: "ECE",
      numeric: true,
      value: ({ metrics }) => (metrics?.task === "classification" ? metrics.calibrationError : null),
      cell: ({ metrics }) =>
        orDash(metrics?.task === "classification" ? metrics.calibrationError : null, three),
    },
    {
      name: "r2",
      title: "R²",
      numeric: true,
      value: ({ metrics }) => (metrics?.task === "regression" ? metrics.r2 : null),
      cell: ({ metrics }) => orDash(metrics?.task === "regression" ? metrics.r2 : null, three),
    },
    {
      name: "log_loss",
      title: "Log loss",
      cell: null,
      value: ({ metrics }) => (metrics?.task === "classification" ? metrics.logLoss : null),
    },
    {
      name: "rmse",
      title: "RMSE",
      cell: null,
      value: ({ metrics }) => (metrics?.task === "regression" ? metrics.rmse : null),
    },
    { name: "members", title: "Learned through", value: ({ members }) => members.join(", ") },
    { name: "depth", title: "Depth", value: ({ depth }) => depth },
    { name: "ridge", title: "Ridge", cell: null, value: ({ ridge }) => ridge },
    {
      name: "created_at",
      title: "Made (UTC)",
      value: ({ createdAt }) => new Date(createdAt).toISOString(),
      cell: ({ createdAt }) => <Time at={createdAt} />,
    },
  ]);
}
