// Opens every page of a folder in chromium and checks what only a browser knows. Prints `ok …` and `FAIL …` lines.
// Usage: node browser.cjs FOLDER [NAME…] (default: all pages)

const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const measure = fs.readFileSync(path.join(__dirname, "measure.js"), "utf8");

const [folder, ...wanted] = process.argv.slice(2);
const WIDTHS = [360, 768, 1280];
const TEXTS = {
  drifted: ["pump 1.4.0 no longer fits its traffic.", "hodoscope drift --detector pump --retrain --propose", "sha256:3f9ab2c4",
    "bearing_temperature", "4.31 %", "Gates of pump 1.5.0", "rank_agreement", "1,198,876", "2026-11-24"],
  stable: ["pump 1.4.0 still fits its traffic.", "Nothing to do.", "0 of 12 drifted"],
  watching: ["drifted in this window, but not for long enough to act", "2 drifted windows of the last 3"],
  data_quality: ["The input of pump 1.4.0 is broken: 3 features.", "missing column", "changed unit", "constant", "nothing is retrained on broken input"],
  insufficient_data: ["Too few rows to judge pump 1.4.0.", "212", "500 rows"],
  large: ["turbine-hall 2.0.0-rc.1", "34 of 166 drifted", "The 12 that drifted most", "more features without drift"],
  hostile: ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>", "</style><style>*{display:none}</style>", "javascript:alert(3)",
    "a\\u{202e}gnp.exe", "line\\u{a}break\\u{d}\\u{2028}more", "\\u{1b}[31mred", "&lt;b&gt;", "<svg/onload=alert(4)>", "]]><!--"],
};

function say(good, sentence, details = []) {
  console.log(`${good ? "ok   " : "FAIL "} ${sentence}`);
  if (!good) for (const detail of details.slice(0, 12)) console.log(`      ${detail}`);
}

/** A fresh offline page that notes everything it should not do. */
async function open(browser, file, width, scheme) {
  const context = await browser.newContext({ viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme: scheme, deviceScaleFactor: width < 500 ? 2 : 1 });
  context.setDefaultTimeout(120_000); // a loaded machine takes long for a long picture
  await context.setOffline(true);
  const page = await context.newPage();
  const noticed = [];
  const url = pathToFileURL(file).href;
  page.on("request", (request) => request.url() !== url && noticed.push(`request ${request.url()}`));
  page.on("console", (message) => noticed.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noticed.push(`error ${error.message}`));
  page.on("dialog", (dialog) => { noticed.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(url);
  return { context, page, noticed };
}

async function look(browser, name, width, scheme) {
  const { context, page, noticed } = await open(browser, path.join(folder, `${name}.html`), width, scheme);
  const where = `${name} at ${width} px, ${scheme}`;
  await page.screenshot({ path: path.join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
  for (const details of await page.$$("details")) await details.evaluate((element) => { element.open = true; });
  await page.evaluate(`${measure}; undefined`);
  const wide = await page.evaluate("overflow()");
  say(wide.length === 0, `${where}: nothing is wider than the screen`, wide);
  const { least, count, faint } = await page.evaluate("contrasts()");
  say(faint.length === 0 && count > 20, `${where}: ${count} texts and shapes have contrast, the least text ${least.toFixed(2)}`, faint);
  await page.evaluate(`${axe}; undefined`);
  const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  const violations = found.violations.flatMap((v) => v.nodes.map((n) => `${v.impact} ${v.id}: ${n.target} ${n.failureSummary.split("\n")[1] ?? ""}`));
  say(violations.length === 0, `${where}: axe-core finds no violation in ${found.passes.length} rules`, violations);
  say(noticed.length === 0, `${where}: no request, no message, no dialog`, noticed);
  await context.close();
}

async function read(browser, name) {
  const { context, page, noticed } = await open(browser, path.join(folder, `${name}.html`), 1280, "light");
  const text = await page.evaluate(() => document.body.textContent);
  const missing = (TEXTS[name] ?? []).filter((expected) => !text.includes(expected));
  say(TEXTS[name] !== undefined && missing.length === 0, `${name}: says what it must`, missing);
  await page.evaluate(`${measure}; undefined`);
  const active = await page.evaluate("active()");
  say(active.length === 0, `${name}: holds nothing that acts`, active);
  const order = await page.evaluate("headings()");
  say(order.length === 0, `${name}: headings, landmarks and tables are in order`, order);
  if (name === "data_quality") {
    const first = await page.evaluate(() => document.querySelector("main > section[id]").id);
    say(first === "problems", `${name}: broken input comes first`, [first]);
  }
  const below = await page.evaluate(() => {
    const box = document.querySelector(".next").getBoundingClientRect();
    return box.bottom;
  });
  say(below < 900, `${name}: what to do next is on the first screen (${Math.round(below)} px)`);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  say(ground === "rgb(255, 255, 255)", `${name}: prints on white, in dark mode, too`, [ground]);
  const pdf = await page.pdf({ path: path.join(folder, `${name}.pdf`), format: "A4", printBackground: true, preferCSSPageSize: true });
  say(pdf.length > 5000, `${name}: prints`);
  say(noticed.length === 0, `${name}: stays silent`, noticed);
  await context.close();
}

async function main() {
  const names = fs.readdirSync(folder).filter((file) => file.endsWith(".html")).map((file) => file.slice(0, -5))
    .filter((name) => wanted.length === 0 || wanted.includes(name)).sort();
  const browser = await chromium.launch({
    timeout: 180_000, // the first start on a loaded machine
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none"],
  });
  try {
    for (const name of names) {
      await read(browser, name);
      for (const width of WIDTHS) for (const scheme of ["light", "dark"]) await look(browser, name, width, scheme);
    }
    say(wanted.length > 0 || Object.keys(TEXTS).every((name) => names.includes(name)), `all ${names.length} fixtures were looked at`, names);
  } finally {
    await browser.close();
  }
}

main().catch((error) => { console.log(`FAIL  ${error.stack}`); process.exitCode = 1; });
