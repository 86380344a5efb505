import { parser } from "@prometheus-io/lezer-promql";

/** A part of a PromQL expression, by Prometheus' own grammar. */
export interface PromqlNode {
  readonly name: string;
  readonly text: string;
}

/** Every part of an expression, outer ones first. @throws Error where it does not parse */
export function parsePromql(expression: string): PromqlNode[] {
  const nodes: PromqlNode[] = [];
  parser.parse(expression).iterate({
    enter: ({ name, type, from, to }) => {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expression}`);
      nodes.push({ name, text: expression.slice(from, to) });
    },
  });
  return nodes;
}
