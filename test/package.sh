#!/usr/bin/env bash
# Installs the packed tarball into empty projects and uses it as a stranger would: from Node, from the command line,
# through the type checker, and bundled for a browser. Needs `npm run build` first.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
webgpu=$(cd "$root" && npm pkg get 'devDependencies.webgpu' | tr -d '"')
bin=$root/node_modules/.bin

tarball=$project/$(cd "$root" && npm pack --silent --pack-destination "$project" | tail -n 1)
cd "$project"
echo '{ "private": true, "type": "module" }' >package.json

echo 'package: without webgpu it imports, and opening a device says what to install'
npm install --silent --no-audit --no-fund "$tarball"
cat >without.js <<'EOF'
import assert from 'node:assert/strict';
import { Runtime } from 'rasterline';
await assert.rejects(Runtime.open(), { name: 'DeviceError', message: /npm install webgpu/ });
EOF
node without.js

echo 'package: with webgpu it opens a device in Node'
npm install --silent --no-audit --no-fund "webgpu@$webgpu"
cat >with.js <<'EOF'
import { Runtime } from 'rasterline';
const runtime = await Runtime.open({ driver: 'null' });
console.log(runtime.description);
runtime.dispose();
EOF
node with.js
./node_modules/.bin/rasterline --help >help.txt

echo 'package: its types say what may be passed'
cat >consumer.ts <<'EOF'
import { Runtime } from 'rasterline';
const runtime: Runtime = await Runtime.open({ driver: 'null' });
// @ts-expect-error there is no such driver
await Runtime.open({ driver: 'cuda' }).then(() => runtime.dispose());
EOF
"$bin/tsc" --noEmit --strict --target es2022 --module nodenext --lib es2022,esnext.disposable,dom consumer.ts

echo 'package: bundled for a browser it holds nothing of Node'
echo "import { Runtime } from 'rasterline'; globalThis.Runtime = Runtime;" >page.js
"$bin/esbuild" page.js --bundle --platform=browser --format=esm --log-level=warning --outfile=bundle.js
if grep -nE "[\"']node:|\brequire\(|\bprocess\." bundle.js; then
  echo 'package: expected a bundle without Node built-ins, got the lines above' >&2
  exit 1
fi
