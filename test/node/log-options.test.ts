import { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";
import { addLogOptions, retentionOf, type LogOptions } from "../../adapters/node/commands/log-options.ts";

afterEach(() => vi.unstubAllEnvs());

function parse(args: readonly string[], env: Readonly<Record<string, string>> = {}): LogOptions {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const command = addLogOptions(new Command().exitOverride().configureOutput({ writeErr: () => {} }));
  return command.parse(args, { from: "user" }).opts<LogOptions>();
}

test.each([
  [[], {}, undefined],
  [["--keep-text"], {}, true],
  [["--keep-text", "no"], {}, false],
  [[], { CONCORD_KEEP_TEXT: "1" }, true],
  [[], { CONCORD_KEEP_TEXT: "true" }, true],
  [[], { CONCORD_KEEP_TEXT: "0" }, false],
  [[], { CONCORD_KEEP_TEXT: "false" }, false],
  [[], { CONCORD_KEEP_TEXT: "" }, false],
  [["--keep-text"], { CONCORD_KEEP_TEXT: "no" }, true],
])("options %j with the environment %j keep text: %s", (args, env, keepText) => {
  expect(parse(args, env).keepText).toBe(keepText);
});

test.each([
  [[], {}, { maxAgeMs: null, maxBytes: null }],
  [["--keep-for", "30d", "--log-size", "20GB"], {}, { maxAgeMs: 30 * 86_400_000, maxBytes: 20e9 }],
  [
    [],
    { CONCORD_KEEP_FOR: "8w", CONCORD_LOG_SIZE: "1.5 tb" },
    { maxAgeMs: 56 * 86_400_000, maxBytes: 1.5e12 },
  ],
])("options %j with the environment %j keep %j", (args, env, retention) => {
  expect(retentionOf(parse(args, env))).toEqual(retention);
});

test.each([
  ["--keep-text", "maybe"],
  ["--keep-for", "0d"],
  ["--keep-for", "30"],
  ["--log-size", "5MB"],
  ["--log-size", "20"],
  ["--log-size", "-1GB"],
])("%s %s is refused", (option, value) => {
  expect(() => parse([option, value])).toThrow("is invalid. Expected");
});
