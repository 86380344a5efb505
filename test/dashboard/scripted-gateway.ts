import type { ExperimentDesk } from "../../src/dashboard/sources.ts";
import type { Gateway, GatewayExperiments } from "../../src/gateway/app.ts";
import { testGateway } from "../gateway/harness.ts";
import { scriptedSources } from "./scripted-sources.ts";

/** A gateway whose dashboard shows what is scripted. */
export function scriptedGateway(
  changes: Partial<ReturnType<typeof scriptedSources>> & { readonly apiKey?: string } = {},
): Gateway {
  const { experiments, ...sources } = { ...scriptedSources(), ...changes };
  return testGateway({ ...sources, experiments: experiments && withDesk(experiments) });
}

/** The gateway's experiments, of which pages use the desk alone. */
function withDesk(experiments: ExperimentDesk): GatewayExperiments {
  return {
    experiments: {
      ...experiments,
      known: () => [],
      routed: async () => null,
      create: refused,
      change: refused,
      remove: refused,
      observations: refused,
    },
    feedback: { give: refused },
  };
}

async function refused(): Promise<never> {
  throw new Error("no page asks this");
}
