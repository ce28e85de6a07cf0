package lint

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// The bounds keep what is read in one go small; tests may be longer, for
// tables.
const (
	maxFileLines     = 700
	maxFunctionLines = 80
)

func TestLength(t *testing.T)       { obey(t, length) }
func TestSleepAndSkip(t *testing.T) { obey(t, patience) }
func TestHidden(t *testing.T)       { obey(t, hidden) }

// length bounds files and functions.
func length(s *source) []string {
	if s.isTest() {
		return nil
	}
	var wrong []string
	if s.lines > maxFileLines {
		wrong = append(wrong, s.problem(s.file.Name, "%d lines; split the file by nouns, %d are the most", s.lines, maxFileLines))
	}
	for _, decl := range s.file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.line(fn.End()) - s.line(fn.Pos()) + 1; n > maxFunctionLines {
			wrong = append(wrong, s.problem(fn, "%s has %d lines; a function fits a screen, %d are the most", fn.Name.Name, n, maxFunctionLines))
		}
	}
	return wrong
}

// patience finds tests that sleep, which are slow or wrong, and tests that
// skip, which report success without having tested anything.
func patience(s *source) []string {
	if !s.isTest() {
		return nil
	}
	var wrong []string
	deadlines := make(map[ast.Stmt]bool) // cases of a select, which are what we want
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause:
			deadlines[n.Comm] = true
		case *ast.ExprStmt:
			if waits(n.X) && !deadlines[n] {
				wrong = append(wrong, s.problem(n, "a test that sleeps by time.After; wait for a condition, with a deadline (testnet.Eventually)"))
			}
		case *ast.CallExpr:
			switch called := selected(n.Fun); {
			case called == "time.Sleep":
				wrong = append(wrong, s.problem(n, "a test that sleeps; wait for a condition, with a deadline (testnet.Eventually)"))
			case strings.HasSuffix(called, ".Skip"), strings.HasSuffix(called, ".Skipf"), strings.HasSuffix(called, ".SkipNow"):
				wrong = append(wrong, s.problem(n, "a test that skips; fail and say what is missing (testnet.Need)"))
			}
		}
		return true
	})
	return wrong
}

// waits says whether an expression is <-time.After(…).
func waits(x ast.Expr) bool {
	receive, ok := x.(*ast.UnaryExpr)
	if !ok || receive.Op != token.ARROW {
		return false
	}
	call, ok := receive.X.(*ast.CallExpr)
	return ok && selected(call.Fun) == "time.After"
}

// selected is "x.Name" for an expression of that form, or "".
func selected(x ast.Expr) string {
	selector, ok := x.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if id, ok := selector.X.(*ast.Ident); ok {
		return id.Name + "." + selector.Sel.Name
	}
	return "." + selector.Sel.Name
}

// hidden finds what works or waits out of sight: init functions, and comments
// that put work off.
func hidden(s *source) []string {
	var wrong []string
	for _, decl := range s.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			wrong = append(wrong, s.problem(fn, "init functions hide what a program does; call it from main"))
		}
	}
	for _, group := range s.file.Comments {
		for _, comment := range group.List {
			for _, mark := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"} {
				if strings.Contains(comment.Text, mark) {
					wrong = append(wrong, s.problem(comment, "%s: do it, or open an issue", mark))
				}
			}
		}
	}
	return wrong
}

func TestLengthRule(t *testing.T) {
	long := "package p\nfunc f() {\n" + strings.Repeat("\tg()\n", maxFunctionLines) + "}\n"
	checkRule(t, length, []ruleCase{
		{"long function", "p/a.go", long, "p/a.go:2: f has 82 lines"},
		{"long function of a test", "p/a_test.go", long, ""},
		{"long file", "p/a.go", "package p\n" + strings.Repeat("\n", maxFileLines), "701 lines"},
		{"short", "p/a.go", "package p\nfunc f() {\n}\n", ""},
	})
}

func TestPatienceRule(t *testing.T) {
	body := func(text string) string { return "package p\nfunc f() {\n" + text + "\n}\n" }
	checkRule(t, patience, []ruleCase{
		{"sleep", "p/a_test.go", body("time.Sleep(1)"), "p/a_test.go:3: a test that sleeps"},
		{"sleep outside of tests", "p/a.go", body("time.Sleep(1)"), ""},
		{"skip", "p/a_test.go", body(`t.Skipf("x")`), "skips"},
		{"after", "p/a_test.go", body("<-time.After(1)"), "time.After"},
		{"deadline", "p/a_test.go", body("select {\ncase <-done:\ncase <-time.After(1):\n}"), ""},
		{"sleep after a deadline", "p/a_test.go", body("select {\ncase <-time.After(1):\n\ttime.Sleep(1)\n}"), "p/a_test.go:5: a test that sleeps"},
	})
}

func TestHiddenRule(t *testing.T) {
	checkRule(t, hidden, []ruleCase{
		{"init", "p/a.go", "package p\nfunc init() {}", "init functions"},
		{"a method of that name", "p/a.go", "package p\nfunc (t T) init() {}", ""},
		{"put off", "p/a.go", "package p\n// TO" + "DO later", "open an issue"},
	})
}
