package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// binaryVar hands the path of the built binary to the demo that
// testnet.Enter runs in a user namespace, where no module could be
// downloaded any more.
const binaryVar = "SLUICE_DEMO_BINARY"

// builtBinary is where the demo builds sluice, as make build does.
const builtBinary = "bin/sluice"

// prepare sees to it that everything is there that the demo needs of the
// machine: programs, and the sluice binary.
func prepare(opts *options) error {
	if path := os.Getenv(binaryVar); path != "" {
		opts.sluice = path
		return nil
	}
	packages := testnet.MissingPackages("ip", "iptables", "iptables-restore", "iptables-save",
		"ip6tables-restore", "ip6tables-save", "curl", "nsenter", "setpriv")
	if len(packages) > 0 {
		if err := install(packages); err != nil {
			return err
		}
	}
	if opts.sluice == "" {
		fmt.Printf("building %s\n", builtBinary)
		if err := runQuietly("go", "build", "-o", builtBinary, "./cmd/sluice"); err != nil {
			return fmt.Errorf("%w\nrun the demo in the root of the checkout (make demo), or give it a binary with -sluice", err)
		}
		opts.sluice = builtBinary
	}
	return os.Setenv(binaryVar, opts.sluice)
}

// install installs Debian packages where the demo may do so, and otherwise
// says what to type.
func install(packages []string) error {
	byHand := fmt.Errorf("programs are missing; install them as root with: apt-get install -y %s", strings.Join(packages, " "))
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return byHand
	}
	fmt.Printf("installing %s\n", strings.Join(packages, " "))
	args := append([]string{"install", "-y", "-q"}, packages...)
	if runQuietly("apt-get", args...) == nil {
		return nil
	}
	// The lists of a fresh machine are old or not there at all.
	if err := runQuietly("apt-get", "update", "-q"); err != nil {
		return fmt.Errorf("%w: %w", byHand, err)
	}
	if err := runQuietly("apt-get", args...); err != nil {
		return fmt.Errorf("%w: %w", byHand, err)
	}
	return nil
}

// runQuietly runs a program whose output matters only when it fails.
func runQuietly(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
