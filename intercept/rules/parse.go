package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxInterfaceName is IFNAMSIZ-1 of netdevice(7).
const maxInterfaceName = 15

// ParseMode reads REDIRECT or TPROXY.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(strings.ToUpper(s)); m {
	case Redirect, TProxy:
		return m, nil
	}
	return "", fmt.Errorf("%w: interception mode %q: use REDIRECT or TPROXY", ErrOption, s)
}

// ParsePort reads one port, 1 to 65535.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: port %q: use 1 to 65535", ErrOption, s)
	}
	return uint16(n), nil
}

// ParsePorts reads a comma-separated list; empty gives none.
func ParsePorts(s string) ([]uint16, error) { return parseList(s, ParsePort) }

// ParsePortSet reads "*" for all ports, else a list as ParsePorts does.
func ParsePortSet(s string) (PortSet, error) {
	if strings.TrimSpace(s) == "*" {
		return PortSet{All: true}, nil
	}
	ports, err := ParsePorts(s)
	return PortSet{Ports: ports}, err
}

// ParsePrefixes reads a comma-separated list of CIDRs of either family; a
// bare address stands for itself. Host bits are cut, as iptables does.
func ParsePrefixes(s string) ([]netip.Prefix, error) { return parseList(s, parsePrefix) }

// ParsePrefixSet reads "*" for all addresses, else a list as ParsePrefixes.
func ParsePrefixSet(s string) (PrefixSet, error) {
	if strings.TrimSpace(s) == "*" {
		return PrefixSet{All: true}, nil
	}
	prefixes, err := ParsePrefixes(s)
	return PrefixSet{Prefixes: prefixes}, err
}

// ParseIDs reads a comma-separated list of numeric user or group ids.
func ParseIDs(s string) ([]uint32, error) {
	return parseList(s, func(item string) (uint32, error) {
		n, err := strconv.ParseUint(item, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%w: id %q: use a number, not a name", ErrOption, item)
		}
		return uint32(n), nil
	})
}

// ParseNumber reads a mark or a routing table, decimal or 0x hexadecimal.
func ParseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: number %q: use decimal or 0x hexadecimal, at most 32 bits", ErrOption, s)
	}
	return uint32(n), nil
}

// ParseInterfaces reads a comma-separated list of device names.
func ParseInterfaces(s string) ([]string, error) { return parseList(s, parseInterface) }

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("%w: CIDR %q: use a form such as 10.0.0.0/8 or fd00::/8", ErrOption, s)
}

// parseInterface is stricter than the kernel: a quote or a backslash would
// change the meaning of the iptables-restore line that the name goes into.
func parseInterface(s string) (string, error) {
	name := strings.TrimSuffix(s, "+")
	ok := len(s) <= maxInterfaceName && s != "" && name != "." && name != ".."
	for _, c := range name {
		letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		ok = ok && (letter || strings.ContainsRune("._-@:", c))
	}
	if !ok || strings.HasPrefix(name, "-") {
		return "", fmt.Errorf("%w: interface %q: use at most %d letters, digits or ._-@: with an optional + at the end",
			ErrOption, s, maxInterfaceName)
	}
	return s, nil
}

func parseList[T any](s string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		v, err := parse(item)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
