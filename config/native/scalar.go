package native

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/sluiceproxy/sluice/config"
)

// parseText turns text into the value that the shape asks for: the same for a
// YAML scalar, a flag and an environment variable. Errors begin with "must".
func parseText(s *shape, text string) (any, error) {
	switch s.kind {
	case duration:
		return parseDuration(text)
	case size:
		return parseSize(text)
	case addrPort:
		return parseAddrPort(text)
	case addr:
		return parseAddr(text)
	case prefix:
		return parsePrefix(text)
	case hostPort:
		return parseHostPort(text)
	case decimal:
		return parseDecimal(text)
	case number:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("must be a whole number, not %s", quote(text))
		}
		return n, checkRange(s, n)
	case boolean:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("must be true or false, not %s", quote(text))
		}
		return b, nil
	}
	return text, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("must be a duration with a unit, such as 250ms, 5s or 1h30m, not %s", quote(text))
	}
	return d, nil
}

// parseSize takes binary units only: KB and k would leave open which they are.
func parseSize(text string) (config.Size, error) {
	digits, unit := text, int64(1)
	for name, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(text, name); ok {
			digits, unit = strings.TrimRight(before, " "), bytes
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf("must be a size in bytes, such as 4096, 64KiB or 1MiB, not %s", quote(text))
	}
	return config.Size(int64(n) * unit), nil
}

func parseAddrPort(text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err == nil {
		return a, nil
	}
	const want = "must be IP:port, such as 127.0.0.1:9080 or [::1]:9080"
	host, port, splitErr := net.SplitHostPort(text)
	if splitErr != nil {
		if ip, err := netip.ParseAddr(text); err == nil {
			return a, fmt.Errorf("%s: %s has no port", want, ip)
		}
		return a, fmt.Errorf("%s, not %s", want, quote(text))
	}
	if n, err := strconv.ParseUint(port, 10, 64); err != nil || n > 65535 {
		return a, fmt.Errorf("%s: port %s is not from 1 to 65535", want, quote(port))
	}
	if isName(host) {
		return a, fmt.Errorf("%s: host names (%s) do not go here, use the IP address", want, quote(host))
	}
	return a, fmt.Errorf("%s: %s is not an IP address", want, quote(host))
}

// parseHostPort takes names too. What a name may look like is for Validate.
func parseHostPort(text string) (config.HostPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err == nil {
		return config.Address(a), nil
	}
	host, port, splitErr := net.SplitHostPort(text)
	if splitErr != nil || !isName(host) {
		_, err := parseAddrPort(text)
		return config.HostPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return config.HostPort{}, fmt.Errorf("must be host:port: port %s is not from 1 to 65535", quote(port))
	}
	return config.Host(host, uint16(n)), nil
}

// parseDecimal refuses what JSON has no word for.
func parseDecimal(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("must be a number, such as 1 or 0.5, not %s", quote(text))
	}
	return x, nil
}

// isName tells a host name from a mistyped address.
func isName(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.Atoi(last)
	return host != "" && err != nil && !strings.Contains(host, ":")
}

// parseAddr takes no text as no address.
func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, fmt.Errorf("must be an IP address without port, such as 127.0.0.6 or ::6, not %s", quote(text))
	}
	return a, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err == nil {
		return p, nil
	}
	const want = "must be a prefix, such as 10.4.0.0/16 or fd00::/8"
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return p, fmt.Errorf("%s: for this one address write %s/%d", want, text, ip.BitLen())
	}
	return p, fmt.Errorf("%s, not %s", want, quote(text))
}

// parseNumber reads a YAML scalar that has to be a whole number.
func parseNumber(s *shape, n *yaml.Node) (int64, error) {
	if n.ShortTag() != "!!int" {
		return 0, fmt.Errorf("must be a whole number, not %s%s", quote(n.Value), unquote(n, "!!int"))
	}
	if digits := strings.TrimLeft(n.Value, "+-"); len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return 0, fmt.Errorf("must not begin with 0 (%s would be read as octal)", n.Value)
	}
	var value int64
	if err := n.Decode(&value); err != nil {
		return 0, rangeError(s, n.Value)
	}
	return value, checkRange(s, value)
}

func checkRange(s *shape, value int64) error {
	if value < s.min || value > s.max {
		return rangeError(s, strconv.FormatInt(value, 10))
	}
	return nil
}

func rangeError(s *shape, value string) error {
	return fmt.Errorf("must be a whole number from %d to %d, not %s", max(s.min, 0), s.max, value)
}

// unquote says so when a value is only wrong because it is in quotes.
func unquote(n *yaml.Node, tag string) string {
	bare := yaml.Node{Kind: yaml.ScalarNode, Value: n.Value}
	if n.ShortTag() == "!!str" && bare.ShortTag() == tag {
		return " in quotes: remove them"
	}
	return ""
}

// plainScalar checks a YAML scalar and returns what viper is given for it:
// numbers and booleans as such, all else as the text that decode parses.
func plainScalar(s *shape, n *yaml.Node) (any, error) {
	switch s.kind {
	case number:
		return parseNumber(s, n)
	case boolean:
		if n.ShortTag() != "!!bool" {
			return nil, fmt.Errorf("must be true or false, not %s%s", quote(n.Value), unquote(n, "!!bool"))
		}
		return parseText(s, strings.ToLower(n.Value))
	case decimal:
		if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" {
			return nil, fmt.Errorf("must be a number, not %s%s", quote(n.Value), unquote(n, "!!float"))
		}
		return parseDecimal(n.Value)
	case text:
		if n.ShortTag() != "!!str" {
			return nil, fmt.Errorf("must be a string: put it in quotes (%s)", quote(n.Value))
		}
	case choice:
		if instead, ok := laterValues[s.typ.Name()][n.Value]; ok {
			return nil, errors.New(n.Value + " is not supported yet: " + instead)
		}
	}
	if _, err := parseText(s, n.Value); err != nil {
		return nil, err
	}
	return n.Value, nil
}
