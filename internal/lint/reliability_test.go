package lint

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFaultsAreTested wants each row of the tables of faults and of what else hurts to
// name an end-to-end test, and each test that the page names to exist.
func TestFaultsAreTested(t *testing.T) {
	const page = "docs/reliability.md"
	tests := endToEndTests(t)
	text := string(read(t, page))
	for _, name := range testNames(text) {
		if !slices.Contains(tests, name) {
			t.Errorf("%s names %s, which is not in test", page, name)
		}
	}
	faults, more := rowsBelow(text, "Faults"), rowsBelow(text, "What else hurts")
	if len(faults) == 0 || len(more) == 0 {
		t.Fatalf("%s lacks a table: %d rows of faults, %d of what else hurts", page, len(faults), len(more))
	}
	for _, row := range append(faults, more...) {
		cells := strings.Split(row, " | ")
		last := cells[len(cells)-1]
		if len(cells) != 4 || len(testNames(last)) == 0 && !strings.Contains(last, "*to come*") {
			t.Errorf("%s: this row needs a fault, how it is injected, what is promised, and a test:\n%s", page, row)
		}
	}
}

// endToEndTests are the names of the tests and benchmarks of package test.
func endToEndTests(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, s := range sources(t) {
		if s.dir() != "test" || !s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && len(testNames("`"+fn.Name.Name+"`")) > 0 {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// testNames are the tests and benchmarks that a text names in backticks.
func testNames(text string) []string {
	var names []string
	for _, found := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z0-9][A-Za-z0-9]*)`").FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// rowsBelow are the rows of the table under a heading, without its head.
func rowsBelow(text, heading string) []string {
	_, section, _ := strings.Cut(text, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows[min(1, len(rows)):]
}

func TestRowsBelow(t *testing.T) {
	page := "# x\n| no | table |\n\n## Faults\n\n| fault | how | what | test |\n| --- | --- | --- | --- |\n| a | b | c | `TestD`, `TestE2` |\n\n## More\n| e | f |\n"
	rows := rowsBelow(page, "Faults")
	if len(rows) != 1 || !slices.Equal(testNames(rows[0]), []string{"TestD", "TestE2"}) {
		t.Errorf("rows %q", rows)
	}
}
