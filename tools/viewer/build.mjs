// Builds the one file of NiiVue that the report carries: node build.mjs OUTPUT
// Only what a report needs is kept: volumes in NIfTI. Meshes, other formats, Zarr, fonts and colour tables are left out.
import { build } from "esbuild";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const output = path.resolve(process.argv[2] ?? path.join(here, "niivue.min.js"));
const root = path.join(here, "node_modules", "@niivue", "niivue");
const source = path.join(root, "src");
const { version } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"));

/** A picture of one black pixel, in place of the font and of the light on meshes, which a report never shows. */
const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
const GREY = "{ R: [0, 255], G: [0, 255], B: [0, 255], A: [0, 128], I: [0, 255] }";
const EMPTY = "module.exports = {};";
const STUBS = [
  [/^@\/fonts\/.*\.png$|^@\/matcaps\//, `export default ${JSON.stringify(PIXEL)};`],
  [/^@\/fonts\/.*\.json$/, "export default { atlas: { distanceRange: 1, size: 1, width: 1, height: 1 }, glyphs: [] };"],
  [/^@\/cmaps$/, `const grey = ${GREY}; export { grey as gray, grey as $itksnap };`],
  [/^@\/nvmesh-loaders$|^@\/nvserializer$|^zarrita$|^\.\/zarr$|^@\/nvimage\/zarr/, EMPTY],
  [/^@\/nvimage\/ImageReaders\/(?!nii$)/, EMPTY],
  [/package\.json$/, `export default { version: ${JSON.stringify(version)} };`],
];

const leaveOut = {
  name: "leave-out",
  setup(bundle) {
    bundle.onResolve({ filter: /^[@.z]/ }, ({ path: name }) => {
      const stub = STUBS.findIndex(([pattern]) => pattern.test(name));
      return stub < 0 ? undefined : { path: `${stub}`, namespace: "stub" };
    });
    bundle.onLoad({ filter: /.*/, namespace: "stub" }, ({ path: stub }) => ({ contents: STUBS[stub][1], loader: "js" }));
    // Remarks in shaders are no code, and name addresses that a report has no need of.
    bundle.onLoad({ filter: /shader-srcs\.ts$/ }, async ({ path: name }) => ({
      contents: (await readFile(name, "utf8")).replace(/^\s*\/\/.*$|[ \t]\/\/.*$/gm, ""),
      loader: "ts",
    }));
    bundle.onResolve({ filter: /^@\// }, ({ path: name }) => {
      const base = path.join(source, name.slice(2));
      return { path: [base, `${base}.ts`, path.join(base, "index.ts")].find((one) => existsSync(one) && /\.\w+$/.test(one)) };
    });
  },
};

await build({
  stdin: {
    contents: 'export { Niivue } from "@/niivue/index"; export { NVImage } from "@/nvimage";',
    resolveDir: source,
  },
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "niivue",
  target: "es2020",
  charset: "ascii",
  legalComments: "none",
  banner: { js: `/* NiiVue ${version}, without meshes, fonts and formats other than NIfTI; licences: niivue.LICENSE.txt */` },
  plugins: [leaveOut],
  outfile: output,
  logLevel: "warning",
});
