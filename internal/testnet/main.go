package testnet

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// Main is the TestMain of a package whose tests use this one. It sees to it
// that the tests can make namespaces (see Enter), runs them, and fails the
// test binary when goroutines are left; options tell goleak which may be. It
// does not return.
func Main(m interface{ Run() int }, options ...goleak.Option) {
	if err := Enter(); err != nil {
		fmt.Fprintf(os.Stderr, "testnet: %v\n", err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		// goleak waits for a second, and those that are ending may need longer.
		if err := poll(patience, func() error { return goleak.Find(options...) }); err != nil {
			fmt.Fprintf(os.Stderr, "testnet: goroutines are left after all tests: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}
