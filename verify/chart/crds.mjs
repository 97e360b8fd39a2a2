// Checks objects of kinds that Kubernetes itself does not have against their types from npm: `validate()` finds what is
// missing or malformed, the TypeScript compiler what no such kind has. `node crds.mjs <node_modules> <file.json>`, the
// file being a list of objects. Prints one line for each and counts for itself.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, file] = process.argv.slice(2);
const require = createRequire(join(modules, "noop.js"));
const typescript = require("typescript");
const packages = { "argoproj.io": "@kubernetes-models/argo-cd", "monitoring.coreos.com": "@kubernetes-models/prometheus-operator" };

const path = (object) => {
  const [group, version] = object.apiVersion.split("/");
  return `${packages[group]}/${group}/${version}/${object.kind}`;
};

// One program for all: starting the compiler is what costs.
const objects = JSON.parse(readFileSync(file, "utf8"));
const folder = mkdtempSync(join(modules, ".crds-"));
const source = join(folder, "objects.ts");
const lines = objects.map((object, index) => {
  const body = { ...object };
  delete body.apiVersion;
  delete body.kind;
  return `import { I${object.kind} as T${index} } from "${path(object)}"; const o${index}: Omit<T${index}, "apiVersion" | "kind"> = ${JSON.stringify(body)};`;
});
writeFileSync(source, lines.join("\n"));
const program = typescript.createProgram([source], {
  noEmit: true, strict: true, skipLibCheck: true, types: [],
  module: typescript.ModuleKind.ES2022, moduleResolution: typescript.ModuleResolutionKind.Bundler,
});
const typed = typescript.getPreEmitDiagnostics(program).map((found) => ({
  line: found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : -1,
  text: typescript.flattenDiagnosticMessageText(found.messageText, " "),
}));

rmSync(folder, { recursive: true });

for (const [index, object] of objects.entries()) {
  const faults = typed.filter((found) => found.line === index || found.line === -1).map((found) => found.text);
  const model = await import(pathToFileURL(join(modules, `${path(object)}.js`)));
  try {
    new model[object.kind](object).validate();
  } catch (error) {
    faults.push(error.message);
  }
  const sentence = `${object.kind}/${object.metadata.name} is what its kind allows`;
  console.log(faults.length ? `FAIL  ${sentence}: ${faults.join("; ").slice(0, 600)}` : `ok    ${sentence}`);
}
