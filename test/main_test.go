package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// binaryVar names the sluice binary to the tests.
const binaryVar = "SLUICE_TEST_BINARY"

// roleVar makes the test binary a helper program instead; see roles_test.go.
const roleVar = "SLUICE_TEST_ROLE"

// suite builds sluice once, before the first test.
type suite struct{ m *testing.M }

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role))
	}
	testnet.Main(suite{m})
}

// Run is the tests' own, between building and removing the binary.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // uid 1337 must get there
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sluice")
	if err := build(binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(binaryVar, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}

func build(binary string) error {
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/sluice")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return nil
}
