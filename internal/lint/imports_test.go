package lint

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAllowedImports(t *testing.T) { obey(t, imports) }

// TestLayoutIsComplete keeps the table and the directories alike.
func TestLayoutIsComplete(t *testing.T) {
	there := make(map[string]bool)
	for _, s := range sources(t) {
		there[s.dir()] = true
	}
	for dir := range there {
		if _, ok := layout()[dir]; !ok {
			t.Errorf("package %s is not in the table of internal/lint/layout_test.go: state there what it may import", dir)
		}
	}
	for dir := range layout() {
		if !there[dir] {
			t.Errorf("internal/lint/layout_test.go has a row for %s, which is not there", dir)
		}
	}
}

// imports holds a file to layout, fences and offLoops.
func imports(s *source) []string {
	var wrong []string
	for _, spec := range s.file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{s.problem(spec, "import %s: %v", spec.Path.Value, err)}
		}
		if why := forbidden(s, imported); why != "" {
			wrong = append(wrong, s.problem(spec, "%s must not import %s: %s", s.dir(), imported, why))
		}
	}
	return wrong
}

// forbidden tells why a file must not have an import, or "".
func forbidden(s *source, imported string) string {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		allowed := layout()[s.dir()]
		if s.isTest() {
			allowed = append(allowed, forTests()...)
		}
		if !slices.Contains(allowed, own) {
			return "it may import of ours only " + strings.Join(allowed, ", ") + " (internal/lint/layout_test.go)"
		}
		return ""
	}
	if why, ok := offLoops()[imported]; ok && !s.isTest() && slices.Contains(onLoops(), s.dir()) {
		return why
	}
	for _, f := range fences() {
		if imported == f.imports || strings.HasPrefix(imported, f.imports+"/") {
			return f.refuses(s)
		}
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		return "it is no dependency yet; say in internal/lint/layout_test.go who needs it and why"
	}
	return ""
}

func (f fence) refuses(s *source) string {
	if s.isTest() || slices.Contains(f.by, s.dir()) || f.imports == "syscall" && onlyNames(s.file) {
		return ""
	}
	return f.why + " (allowed: " + strings.Join(f.by, ", ") + ")"
}

// onlyNames says whether all that a file uses of syscall is names that os and
// os/exec take and do not have: signals, and what a child process is given.
func onlyNames(file *ast.File) bool {
	only := true
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && isName(selector.X, "syscall") {
			name := selector.Sel.Name
			only = only && (strings.HasPrefix(name, "SIG") || name == "SysProcAttr" || name == "Credential")
		}
		return only
	})
	return only
}

func isName(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

func TestImportsRule(t *testing.T) {
	file := func(body string) string { return "package p\nimport " + body + "\n" }
	own := func(dir string) string { return file(strconv.Quote(module + "/" + dir)) }
	checkRule(t, imports, []ruleCase{
		{"down", "proxy/a.go", own("cluster"), ""},
		{"up", "cluster/a.go", own("proxy"), "cluster/a.go:2: cluster must not import github.com/sluiceproxy/sluice/proxy: it may"},
		{"a test's own", "cluster/a_test.go", own("internal/testnet"), ""},
		{"of tests", "cluster/a.go", own("internal/testnet"), "must not import"},
		{"up in a test", "cluster/a_test.go", own("proxy"), "must not import"},
		{"raw calls at home", "internal/sock/a.go", file(`"golang.org/x/sys/unix"`), ""},
		{"raw calls elsewhere", "proxy/a.go", file(`"golang.org/x/sys/unix"`), "one home"},
		{"raw calls in a test", "proxy/a_test.go", file(`"golang.org/x/sys/unix"`), ""},
		{"signals", "internal/daemon/a.go", file("\"syscall\"\nvar s = syscall.SIGTERM"), ""},
		{"more than signals", "internal/daemon/a.go", file("\"syscall\"\nvar s, e = syscall.SIGTERM, syscall.EPIPE"), "names of signals"},
		{"a library below", "internal/stats/a.go", file(`"github.com/prometheus/client_golang/prometheus/promhttp"`), ""},
		{"another with that beginning", "internal/stats/a.go", file(`"github.com/prometheusother/x"`), "no dependency yet"},
		{"blocking on a loop", "proxy/a.go", file(`"net"`), "Go poller"},
		{"addresses on a loop", "proxy/a.go", file(`"net/netip"`), ""},
	})
}
