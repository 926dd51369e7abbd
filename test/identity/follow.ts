import { IdentityWatch } from "../../src/identity/watch.js";
import { addon } from "../../src/kernel/addon.js";
import type { Lab } from "../../src/lab/lab.js";
import { WiringWatch } from "../../src/wiring/watch.js";

/** Follows a lab's node as a trace does: wiring by events, names by every source. */
export function followNode(lab: Lab, name: string, onChange: () => void = () => {}) {
	const { node, path } = lab.node(name);
	const options = { netns: path, hostRoot: node.root };
	const wiring = new WiringWatch({ ...options, native: addon(), node: name }, () => {
		identity.rewired(() => wiring.wiring);
		onChange();
	});
	const identity = new IdentityWatch(options, wiring.wiring, onChange);
	const close = () => {
		wiring.close();
		identity.close();
	};
	return { wiring, identity, close };
}
