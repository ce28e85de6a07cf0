package stage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
	"github.com/sluiceproxy/sluice/internal/testnet"
)

// sluiceVar names the sluice binary to the tests.
const sluiceVar = "SLUICEBENCH_TEST_SLUICE"

// suite builds sluice once, before the first test.
type suite struct{ m *testing.M }

// TestMain makes the test binary a stand-in for sluicebench when it is called
// as such: `backend --listen ADDR ...` and `load ADDR ...`.
func TestMain(m *testing.M) {
	roles := map[string]func([]string) error{"backend": standInBackend, "load": standInLoad}
	if len(os.Args) > 2 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testnet.Main(suite{m})
}

// Run is the tests' own, between building sluice and removing it. Its directory
// is closed to others, as a home directory may be.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "sluice-stage-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sluice")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/sluice").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build sluice: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(sluiceVar, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.m.Run()
}

// standInBackend tells each client its address as the backend sees it, a line,
// and then answers with what it is sent.
func standInBackend(args []string) error {
	if len(args) != 4 || args[0] != "--listen" || args[2] != "--loops" {
		return fmt.Errorf("backend: unexpected arguments %q", args)
	}
	listener, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if _, err := fmt.Fprintln(conn, conn.RemoteAddr()); err == nil {
				_, _ = io.Copy(conn, conn) // the client sees how far it came
			}
		}()
	}
}

// standInLoad makes one request and prints a measure.
func standInLoad(args []string) error {
	if fmt.Sprint(args[1:]) != "[--plan - --json]" {
		return fmt.Errorf("load: unexpected arguments %q", args)
	}
	var plan bench.Load
	if err := json.NewDecoder(os.Stdin).Decode(&plan); err != nil {
		return err
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := echo(conn, bytes.Repeat([]byte{'x'}, plan.Size)); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(bench.Measure{Load: plan, Answers: 1})
}

// echo sends a message to the stand-in of the backend and wants the same back.
// It returns the address that the backend saw.
func echo(conn net.Conn, message []byte) (peer string, err error) {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(message)
		sent <- err
	}()
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	got := make([]byte, len(message))
	if err == nil {
		_, err = io.ReadFull(reader, got)
	}
	if err != nil {
		// What is still being sent will not arrive.
		conn.Close()
	}
	if err := errors.Join(err, <-sent); err != nil {
		return "", err
	}
	if !bytes.Equal(got, message) {
		return "", fmt.Errorf("%d bytes sent, others came back", len(message))
	}
	return strings.TrimSpace(line), nil
}
