// Checks the dashboards against Grafana's own types from npm: the dashboard, and each panel's options and field options by
// the panel's kind. Enumerations are loosened to their words, as JSON has them.
// `node dashboards.mjs <node_modules> <file.json…>` prints one line for each and counts for itself.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const [modules, ...files] = process.argv.slice(2);
const require = createRequire(join(modules, "noop.js"));
const typescript = require("typescript");
const types = join(modules, "@grafana/schema/dist/types/raw");
const kinds = {
  stat: "Options", timeseries: "Options FieldConfig", heatmap: "Options FieldConfig", table: "Options FieldConfig",
};

const folder = mkdtempSync(join(modules, ".dashboards-"));
const lines = [`import type { Dashboard, Panel } from "${join(types, "dashboard/x/types.gen")}";`];
for (const [kind, names] of Object.entries(kinds)) {
  for (const name of names.split(" ")) {
    lines.push(`import type { ${name} as ${kind}${name} } from "${join(types, `composable/${kind}/panelcfg/x/types.gen`)}";`);
  }
}
// Options that the panel fills in itself may be left out, at every depth.
lines.push("type Loose<T> = T extends string ? `${T}` : T extends (infer U)[] ? Loose<U>[] : T extends object ? { [K in keyof T]?: Loose<T[K]> | null } : T;");
const where = new Map();
const add = (file, what, type, value) => {
  where.set(lines.length, [file, what]);
  lines.push(`const v${lines.length}: ${type} = ${JSON.stringify(value)};`);
};
const count = new Map();
for (const file of files) {
  const name = basename(file, ".json");
  const { panels, ...rest } = JSON.parse(readFileSync(file, "utf8"));
  add(name, "dashboard", "Loose<Omit<Dashboard, 'panels'>>", rest);
  for (const panel of panels.filter((panel) => panel.type !== "row")) {
    if (!kinds[panel.type]) throw new Error(`${name}: no kind '${panel.type}' among ${Object.keys(kinds)}`);
    const { options, fieldConfig, targets, ...own } = panel;
    add(name, panel.title, "Loose<Panel>", { ...own, fieldConfig: { ...fieldConfig, defaults: { ...fieldConfig.defaults, custom: {} } } });
    add(name, panel.title, `Loose<${panel.type}Options>`, options);
    const custom = fieldConfig.defaults.custom;
    if (custom) add(name, panel.title, `Loose<${panel.type}FieldConfig>`, custom);
  }
  count.set(name, panels.length);
}
const source = join(folder, "dashboards.ts");
writeFileSync(source, lines.join("\n"));
const program = typescript.createProgram([source], {
  noEmit: true, strict: true, skipLibCheck: true, types: [],
  module: typescript.ModuleKind.ES2022, moduleResolution: typescript.ModuleResolutionKind.Bundler,
});
const faults = new Map([...count.keys()].map((name) => [name, []]));
for (const found of typescript.getPreEmitDiagnostics(program)) {
  const line = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : -1;
  const [name, what] = where.get(line) ?? [[...count.keys()][0], `line ${line}`];
  faults.get(name).push(`${what}: ${typescript.flattenDiagnosticMessageText(found.messageText, " ").slice(0, 300)}`);
}
rmSync(folder, { recursive: true });
for (const [name, said] of faults) {
  const sentence = `${name}: ${count.get(name)} panels are what Grafana's types allow`;
  console.log(said.length ? `FAIL  ${sentence}: ${said.join("; ")}` : `ok    ${sentence}`);
}
