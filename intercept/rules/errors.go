package rules

import "errors"

var (
	// ErrOption: a value that a user gave cannot be used.
	ErrOption = errors.New("invalid capture option")
	// ErrToolMissing: iptables or iproute2 is not installed.
	ErrToolMissing = errors.New("tool not found")
	// ErrPermission: the kernel refused because the process may not configure
	// this network namespace.
	ErrPermission = errors.New("not permitted")
	// ErrOutput: a tool printed something that is not its documented format.
	ErrOutput = errors.New("output not understood")
	// ErrValidation: the rules are installed, but a connection sent through
	// them did not arrive where it had to.
	ErrValidation = errors.New("capture rules fail validation")
)
