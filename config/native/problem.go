package native

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a configuration, and where it stands.
type Problem struct {
	File    string // as given by the user; for an override its flag or variable
	Line    int    // from 1; 0 when the problem is not in a file
	Path    string // key path; empty for the file as a whole
	Message string // what is wrong and what is allowed
}

// String is FILE:LINE: path.to.key: message, without the parts that are not
// known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	return b.String() + ": " + p.Message
}

// Error is everything wrong with a configuration, in the order of its lines.
type Error struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// asError sorts by line and keeps the order within one; nothing wrong is nil.
func asError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return &Error{Problems: problems}
}
