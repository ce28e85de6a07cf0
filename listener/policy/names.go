package policy

import (
	"errors"
	"strings"
)

// maxName is the longest domain name in text (RFC 1035, section 2.3.4).
const maxName = 253

// names is a set of server names: some exactly, and all below some.
type names struct {
	any      bool
	exact    map[string]struct{}
	suffixes map[string]struct{} // each with its dot: .example
	longest  int                 // suffix
}

// newNames wants patterns that checkName has passed.
func newNames(patterns []string) names {
	n := names{exact: make(map[string]struct{}), suffixes: make(map[string]struct{})}
	for _, pattern := range patterns {
		pattern = lower(pattern)
		suffix, wild := strings.CutPrefix(pattern, "*")
		switch {
		case !wild:
			n.exact[pattern] = struct{}{}
		case suffix == "":
			n.any = true
		default:
			n.suffixes[suffix] = struct{}{}
			n.longest = max(n.longest, len(suffix))
		}
	}
	return n
}

// contain tells whether a lower-case name is one of n. A client may send a
// name of 64 KiB with a dot in each place: only as much of its end is looked
// at as the longest suffix could be.
func (n names) contain(name string) bool {
	if name == "" {
		return false
	}
	if n.any {
		return true
	}
	if _, ok := n.exact[name]; ok {
		return true
	}
	for i := max(1, len(name)-n.longest); i < len(name); i++ {
		if name[i] != '.' {
			continue
		}
		if _, ok := n.suffixes[name[i:]]; ok {
			return true
		}
	}
	return false
}

// cover tells whether n has every name of other.
func (n names) cover(other names) bool {
	if n.any {
		return true
	}
	if other.any {
		return false
	}
	for name := range other.exact {
		if !n.contain(name) {
			return false
		}
	}
	for suffix := range other.suffixes {
		// What n has of the names below a suffix it has as that suffix or a
		// shorter one, which is what it would have of one name below.
		if !n.contain("*" + suffix) {
			return false
		}
	}
	return true
}

// checkName tells what is wrong with a pattern of server names.
func checkName(pattern string) error {
	name := strings.TrimPrefix(pattern, "*")
	if name == "" && pattern != "" {
		return nil
	}
	if name != pattern {
		if name[0] != '.' {
			return errors.New("a * stands for whole labels only: *.example, or * for any name")
		}
		name = name[1:]
	}
	if len(name) > maxName {
		return errors.New("a domain name has at most 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return errors.New("a domain name has no empty label, and no dot at its end")
		}
		if strings.ContainsFunc(label, foreignToNames) {
			return errors.New("a domain name has letters, digits, - and _ (internationalised ones in their xn-- form), and * only as *.example or *")
		}
	}
	return nil
}

func foreignToNames(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

// lower folds ASCII only: strings.ToLower would take the Kelvin sign for a k,
// and make another name of a client's.
func lower(name string) string {
	for i := range len(name) {
		if isUpper(name[i]) {
			return lowerFrom(name, i)
		}
	}
	return name
}

// lowerFrom is lower for a name with its first capital at i.
func lowerFrom(name string, i int) string {
	bytes := []byte(name)
	for ; i < len(bytes); i++ {
		if isUpper(bytes[i]) {
			bytes[i] += 'a' - 'A'
		}
	}
	return string(bytes)
}

func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }
