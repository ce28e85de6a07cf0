package native

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

var (
	errorLine     = regexp.MustCompile(`line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// syntaxProblem gives an error of the YAML library its line, which has it
// only in its text and not always right: the library's parser (not its
// scanner) counts from 0, and of an unknown anchor it tells no line.
func syntaxProblem(name string, data []byte, err error) *Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := errorLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = strings.Replace(message, m[0], "", 1)
		if strings.HasPrefix(message, "did not find expected") {
			line++
		}
	} else if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	line = min(line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
	p := &Problem{File: name, Line: line, Message: "not valid YAML: " + message}
	if tab := tabLine(data, line); tab > 0 {
		p.Line = tab
		p.Message += " (tabs cannot indent YAML: use spaces)"
	}
	return p
}

// tabLine finds an indentation with a tab in the line or the one after it:
// the library tells where the value before it began. 0 is none.
func tabLine(data []byte, line int) int {
	lines := bytes.SplitN(data, []byte("\n"), line+2)
	for i := line - 1; i <= line && i < len(lines); i++ {
		indent := lines[i][:len(lines[i])-len(bytes.TrimLeft(lines[i], " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			return i + 1
		}
	}
	return 0
}
