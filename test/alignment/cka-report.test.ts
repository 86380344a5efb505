import { describe, expect, test } from "vitest";
import { ckaHeatMap, type CkaMap, ckaTable } from "../../src/alignment/cka-report.ts";
import { createMatrix, matrixFrom } from "../../src/linalg/matrix.ts";

const map: CkaMap = {
  title: "CKA of A & B",
  description: "Debiased, standardised, 1,500 rows.",
  rows: { name: "A<1>", layers: [0, 15, 30], depth: 30 },
  columns: { name: "B", layers: [0, 18], depth: 18 },
  values: matrixFrom(3, 2, [0.834, -0.016, 0.5, 1, -0.001, 0.251]),
};

describe("ckaTable", () => {
  test("names the axes and prints two decimals a cell", () => {
    expect(ckaTable(map).split("\n")).toEqual([
      "CKA of A & B",
      "Debiased, standardised, 1,500 rows.",
      "rows: A<1>, columns: B; layer, relative depth in brackets",
      "",
      "            0 (.00) 18 (1.00)",
      "  0 (.00)       .83      −.02",
      " 15 (.50)       .50      1.00",
      "30 (1.00)       .00       .25",
      "",
    ]);
  });
});

describe("ckaHeatMap", () => {
  const svg = ckaHeatMap(map);

  test("is a titled, described, standalone picture", () => {
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" role="img" aria-labelledby="title desc"/,
    );
    expect(svg).toContain('<title id="title">CKA of A &amp; B</title>');
    expect(svg).toContain('<desc id="desc">Debiased, standardised, 1,500 rows.</desc>');
    expect(svg).toContain("prefers-color-scheme:dark");
  });

  test("holds one labelled cell for each pair of layers", () => {
    expect(svg.match(/class="value /g)).toHaveLength(6);
    expect(svg).toContain("<title>A&lt;1&gt; 15, B 18: 1.000</title>");
    expect(svg).toContain(">.83</text>");
  });

  test("closes every element it opens and leaves no bare markup from names", () => {
    const open = svg.match(/<[a-zA-Z](?:[^>]*[^/])?>/g)!.length;
    expect(svg.match(/<\/[a-zA-Z]+>/g)).toHaveLength(open);
    expect(svg).not.toContain("A<1>");
  });

  test("colours run from 0 to 1 and stop there", () => {
    expect(svg).toContain('fill="#183270"');
    expect(svg).toContain('fill="#fdf9dc"');
  });

  test("axes that do not fit the matrix are refused", () => {
    expect(() => ckaHeatMap({ ...map, values: createMatrix(2, 2) })).toThrow(
      "3 row and 2 column layers do not fit the matrix (2,2)",
    );
  });
});
