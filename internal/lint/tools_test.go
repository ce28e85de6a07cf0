package lint

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestToolsAreInstalled keeps scripts/install-tools true: it must know every
// program that a test asks for, or make test fails on a fresh machine.
func TestToolsAreInstalled(t *testing.T) {
	known := installable(string(read(t, "scripts/install-tools")))
	if !known["iptables"] {
		t.Fatalf("scripts/install-tools has no row for iptables; read %v", known)
	}
	for _, s := range sources(t) {
		if s.dir() == "internal/testnet" {
			continue // asks for programs that do not exist, to see what happens
		}
		for _, call := range needs(s) {
			if !known[call.program] {
				t.Error(s.problem(call.at, "scripts/install-tools has no row for %s: it would be missing on a fresh machine", call.program))
			}
		}
	}
}

// need is one program that a call of testnet.Need or
// testnet.MissingPackages names.
type need struct {
	program string
	at      ast.Node
}

func needs(s *source) []need {
	var found []need
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if fn := selected(call.Fun); fn != "testnet.Need" && fn != "testnet.MissingPackages" {
			return true
		}
		for _, arg := range call.Args {
			if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if program, err := strconv.Unquote(literal.Value); err == nil {
					found = append(found, need{program, literal})
				}
			}
		}
		return true
	})
	return found
}

// installable reads the programs from the table of scripts/install-tools:
// the second word of the lines that begin with who needs it.
func installable(script string) map[string]bool {
	programs := make(map[string]bool)
	for line := range strings.Lines(script) {
		fields := strings.Fields(line)
		if len(fields) >= 3 && (fields[0] == "demo" || fields[0] == "test" || fields[0] == "user") {
			programs[fields[1]] = true
		}
	}
	return programs
}

func TestNeeds(t *testing.T) {
	s, err := parse("p/a_test.go", []byte("package p\nfunc f() { testnet.Need(t, \"curl\", other, \"ip\"); other.Need(t, \"x\") }"))
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, call := range needs(s) {
		programs = append(programs, call.program)
	}
	if got := strings.Join(programs, " "); got != "curl ip" {
		t.Errorf("got %q", got)
	}
}
