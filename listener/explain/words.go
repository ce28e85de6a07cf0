package explain

import (
	"fmt"
	"strings"

	"github.com/sluiceproxy/sluice/listener"
)

// mostNames is how many filter chains a sentence names.
const mostNames = 8

// few names the first of a list.
func few(names []string) string {
	if more := len(names) - mostNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// criterion is a step of the search for a filter chain in words.
func criterion(s *listener.Step, total int) string {
	text := s.Criterion + " " + clipped(s.Value)
	if s.Value == "" {
		text = s.Criterion + " none"
	}
	switch {
	case s.Named == "" && len(s.Remaining) == 0:
		text += " (no chain has it)"
	case s.Named == "":
		text += " (no chain names it; those that name none go on)"
	case s.Named != s.Value:
		text += " (fits " + s.Named + ")"
	}
	return fmt.Sprintf("%s: %s", text, remaining(len(s.Remaining), total))
}

func remaining(left, total int) string {
	switch {
	case left == 0:
		return "no chain remains"
	case left == 1:
		return fmt.Sprintf("1 of %s remains", chains(total))
	}
	return fmt.Sprintf("%d of %s remain", left, chains(total))
}

// mostText is how much of a client's text a sentence repeats.
const mostText = 255

// clipped is what a sentence repeats of a client's text.
func clipped(text string) string {
	if len(text) > mostText {
		return text[:mostText] + "…"
	}
	return text
}

func chains(n int) string {
	if n == 1 {
		return "1 chain"
	}
	return fmt.Sprintf("%d chains", n)
}
