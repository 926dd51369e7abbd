# Which sanitizer reports are the addon's: prints them and fails. Node.js frees little of its own when a process ends, so
# a leak counts when the addon's code comes before any of Node.js on the stack of the allocation; other errors always do.

/^==[0-9]+==ERROR: (AddressSanitizer|UndefinedBehavior)|runtime error:/ { report(); error = 1 }
/^(Direct|Indirect) leak of/ || /^$/ { report() }
!/^$/ { stack = stack $0 "\n" }
/\/node\+0x| \.\.\/(src|deps)\// && !ours { theirs = 1 }
/weft::|native\/.*\.(cc|h):/ && !theirs { ours = 1 }
END { report(); if (found) exit 1 }

function report() {
	if (error || (ours && stack ~ /^(Direct|Indirect) leak/)) {
		printf "%s", stack
		found = 1
	}
	stack = ""
	error = ours = theirs = 0
}
