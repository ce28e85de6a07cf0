package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// The bounds of RFC 1035 section 2.3.4, without the dot at the end.
const (
	maxName  = 253
	maxLabel = 63
)

// checkName finds names that cannot be put into a query.
func checkName(name string) error {
	bare := strings.TrimSuffix(name, ".")
	if bare == "" {
		return errors.New("the name is empty")
	}
	if len(bare) > maxName {
		return fmt.Errorf("the name has %d characters; %d are the most", len(bare), maxName)
	}
	for label := range strings.SplitSeq(bare, ".") {
		if label == "" || len(label) > maxLabel {
			return fmt.Errorf("label %q: must have 1 to %d characters", label, maxLabel)
		}
	}
	for _, c := range []byte(bare) {
		if !nameByte(c) {
			return fmt.Errorf("character %q: only letters, digits, '-', '_' and '.' may be in a name; write other scripts in their xn-- form", c)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// fold is the form of a name that hosts files are searched by.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// literal is the address that a name is, with its zone.
func literal(name string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(name)
	return addr.Unmap(), err == nil
}

// loopback says whether a name is localhost or below it. Such names are never
// asked for (RFC 6761 section 6.3).
func loopback(folded string) bool {
	return folded == "localhost" || strings.HasSuffix(folded, ".localhost")
}
