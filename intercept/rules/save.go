package rules

import (
	"fmt"
	"slices"
	"strings"
)

// parseSave reads what iptables-save printed (its format is the input of
// iptables-restore(8)) and keeps of it the tables that we write to. A table
// that is not in the text is empty.
func parseSave(text string) (map[string]*tableState, error) {
	tables := map[string]*tableState{}
	for _, name := range tableNames() {
		tables[name] = &tableState{name: name}
	}
	p := saveParser{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if err := p.line(strings.TrimRight(line, "\r\n"), tables); err != nil {
			return nil, fmt.Errorf("%w: line %d %q: %w", ErrOutput, n, line, err)
		}
	}
	if p.inTable {
		return nil, fmt.Errorf("%w: it ends inside a table, before COMMIT", ErrOutput)
	}
	return tables, nil
}

type saveParser struct {
	inTable bool
	current *tableState // nil: a table that we do not write to
}

func (p *saveParser) line(line string, tables map[string]*tableState) error {
	switch {
	case line == "" || line[0] == '#':
		return nil
	case line[0] == '*':
		if p.inTable {
			return fmt.Errorf("a table begins inside another")
		}
		p.inTable, p.current = true, tables[line[1:]]
		return nil
	case !p.inTable:
		return fmt.Errorf("outside of any table")
	case line == "COMMIT":
		p.inTable, p.current = false, nil
		return nil
	case p.current == nil:
		return nil
	case line[0] == ':':
		return p.current.declare(line[1:])
	}
	return p.current.addRule(line)
}

// declare reads "NAME POLICY [packets:bytes]"; the policy of a chain that is
// not built in is "-".
func (s *tableState) declare(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return fmt.Errorf("a chain without a policy")
	}
	switch name, policy := fields[0], fields[1]; {
	case policy != "-":
		s.builtins = append(s.builtins, builtin{name: name})
	case ourChain(name) && s.chain(name) == nil:
		s.chains = append(s.chains, Chain{Name: name})
	}
	return nil
}

// addRule reads "-A NAME spec", with "[packets:bytes] " before it when the
// counters are saved too.
func (s *tableState) addRule(line string) error {
	if strings.HasPrefix(line, "[") {
		_, line, _ = strings.Cut(line, "] ")
	}
	name, spec, _ := strings.Cut(strings.TrimPrefix(line, "-A "), " ")
	if !strings.HasPrefix(line, "-A ") || name == "" {
		return fmt.Errorf("neither a chain nor a rule")
	}
	if c := s.chain(name); c != nil {
		c.add(spec)
		return nil
	}
	i := slices.IndexFunc(s.builtins, func(b builtin) bool { return b.name == name })
	if i < 0 {
		return nil // a chain of somebody else
	}
	s.builtins[i].rules = append(s.builtins[i].rules, builtinRule{spec, ourChain(target(spec))})
	return nil
}

// target is what a rule jumps or goes to. Quoted text, such as a comment, may
// look like a jump and is none.
func target(spec string) string {
	words := splitWords(spec)
	for i := 0; i+1 < len(words); i++ {
		if words[i] == "-j" || words[i] == "-g" {
			return words[i+1]
		}
	}
	return ""
}

// splitWords splits at spaces; quoted words are left out but for an empty
// place holder.
func splitWords(spec string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped := false, false
	for _, c := range spec {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ' ':
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteRune(c)
		}
	}
	return append(words, word.String())
}
