# TypeScript → dist/. The layout is made from the compiled kernel object, so it comes first.

TS_STAMP := build/ts.stamp
TS_SOURCES := $(shell find src test bench scripts -name '*.ts' -not -name '*.generated.ts' 2>/dev/null)
PROTOS := $(shell find src -name '*.proto' 2>/dev/null)

$(TS_STAMP): $(TS_SOURCES) $(PROTOS) $(LAYOUT) package.json tsconfig.json
	$(say) TSC
	$(Q)mkdir -p build dist
	$(Q)tsc -p tsconfig.json
	$(Q)chmod +x dist/src/cli/main.js
	$(Q)touch $@
