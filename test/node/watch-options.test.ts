import { Writable } from "node:stream";
import { Command } from "commander";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  addWatchOptions,
  watchChoices,
  type WatchOptions,
} from "../../adapters/node/commands/watch-options.ts";
import { createLog, logTelemetry } from "../../adapters/node/telemetry/log.ts";
import { createPrometheusMetrics } from "../../adapters/node/telemetry/prometheus.ts";
import type { Alert } from "../../src/ports/observations.ts";

function parsed(...args: string[]): WatchOptions {
  const command = addWatchOptions(new Command().exitOverride().configureOutput({ writeErr: () => {} }));
  return command.parse(args, { from: "user" }).opts<WatchOptions>();
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("what may be configured of watching", () => {
  test("has defaults, and posts nowhere", () => {
    expect(watchChoices(parsed(), {})).toEqual({
      webhookUrl: undefined,
      webhookSecret: undefined,
      falseAlarmEvery: 1_000_000,
      referenceLength: 500,
      similarityEvery: 16,
    });
  });

  test("comes by options or the environment, the secret by the environment alone", () => {
    vi.stubEnv("CONCORD_WEBHOOK_URL", "https://example.org/hook?a=b");
    vi.stubEnv("CONCORD_SIMILARITY_EVERY", "0");
    const options = parsed("--false-alarm-every", "20000", "--reference-answers", "1000");
    expect(watchChoices(options, { CONCORD_WEBHOOK_SECRET: "whsec_x" })).toEqual({
      webhookUrl: new URL("https://example.org/hook?a=b"),
      webhookSecret: "whsec_x",
      falseAlarmEvery: 20_000,
      referenceLength: 1000,
      similarityEvery: 0,
    });
  });

  test.each([
    ["--webhook-url", "ftp://example.org", "Expected an address with http://"],
    ["--webhook-url", "http://me:secret@example.org", "no password in it"],
    ["--webhook-url", "https://", "Expected an address"],
    ["--false-alarm-every", "999", "Expected at least 1000"],
    ["--reference-answers", "99", "Expected 100 to 100000"],
    ["--reference-answers", "101", "in whole fives"],
    ["--similarity-every", "-1", "Expected a whole number from 0"],
  ])("%s %s is refused", (option, value, message) => {
    expect(() => parsed(option, value)).toThrow(message);
  });
});

describe("an alert", () => {
  const alert: Alert = {
    at: 0,
    signal: "weight_share",
    member: "gemma-3-270m",
    direction: "down",
    value: 0.25,
    reference: 0.5,
    falseAlarmRate: 1e-6,
  };

  test("is a line in the log, and what follows it another", () => {
    const lines: Record<string, unknown>[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(String(chunk)) as Record<string, unknown>);
        done();
      },
    });
    const { alertRaised, signalSettled } = logTelemetry(createLog({ level: "info", stream }));
    alertRaised?.(alert);
    signalSettled?.({ signal: "js_divergence", member: null, how: "returned" });
    expect(lines).toMatchObject([
      {
        level: "warn",
        signal: "weight_share",
        member: "gemma-3-270m",
        false_alarm_rate: 1e-6,
        msg: "drift: weight_share of gemma-3-270m went down, from 0.500 to 0.250",
      },
      { level: "info", settled: "returned", msg: "js_divergence is back where it was" },
    ]);
  });

  test("counts, and its signal is raised until it has settled", async () => {
    const { telemetry, read } = createPrometheusMetrics({ knownModels: () => [] });
    telemetry.alertRaised(alert);
    const labels = 'concord_signal="weight_share",concord_member="gemma-3-270m"';
    expect((await read()).text).toContain(`concord_alerts_total{${labels},concord_direction="down"} 1`);
    expect((await read()).text).toContain(`concord_signal_raised{${labels}} 1`);
    telemetry.signalSettled({ signal: alert.signal, member: alert.member, how: "relearned" });
    expect((await read()).text).toContain(`concord_signal_raised{${labels}} 0`);
  });
});
