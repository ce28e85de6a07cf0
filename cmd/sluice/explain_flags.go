package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/listener/explain"
)

// explainFlags are the flags of sluice explain, as they were given.
type explainFlags struct {
	config, output, cluster    string
	listener, dst, src, direct string
	sni, transport             string
	alpn, payload, unhealthy   []string
	timedOut                   bool
}

func (f *explainFlags) add(set *pflag.FlagSet) {
	set.StringVarP(&f.config, "config", "c", "", "configuration file (environment: SLUICE_CONFIG)")
	set.StringVar(&f.listener, "listener", "", "name of the listener that the connection comes to")
	set.StringVar(&f.dst, "dst", "", "original destination, IP:PORT")
	set.StringVar(&f.src, "src", "", "client, IP:PORT; behind a PROXY header that the payload does not have, the client that it names")
	set.StringVar(&f.direct, "direct-src", "", "the socket's peer, an IP, where it is not the client")
	set.StringVar(&f.sni, "sni", "", "server name that the TLS client asks for")
	set.StringVar(&f.transport, "transport", "", "tls or raw_buffer (with --sni or --alpn alone: what fits them)")
	set.StringSliceVar(&f.alpn, "alpn", nil, "application protocols in the client's order, such as h2,http/1.1")
	set.StringArrayVar(&f.payload, "payload-hex", nil, "the client's first bytes in hexadecimal; given more than once, they follow each other")
	set.BoolVar(&f.timedOut, "timed-out", false, "the client sends nothing more, and listener_filters_timeout is over")
	set.StringVarP(&f.output, "output", "o", "text", "text or json")
	set.StringVar(&f.cluster, "cluster", "", "instead of a connection: name of the cluster whose load is asked for")
	set.StringSliceVar(&f.unhealthy, "assume-unhealthy", nil, "with --cluster: endpoints that are not to be had, host:port,…")
}

// usage is a flag that was called wrongly.
type usage struct {
	flag string
	err  error
}

func (u *usage) Error() string { return fmt.Sprintf("--%s: %v", u.flag, u.err) }

func (u *usage) Unwrap() error { return u.err }

func wrongFlag(flag string, err error) error { return &usage{flag, err} }

// question reads the flags.
func (f *explainFlags) question() (explain.Question, error) {
	q := explain.Question{
		Listener:          f.listener,
		ServerName:        f.sni,
		TransportProtocol: config.TransportProtocol(f.transport),
		TimedOut:          f.timedOut,
	}
	if q.Listener == "" {
		return q, wrongFlag("listener", errors.New("which listener? Give the name of the one that the connection comes to"))
	}
	var err error
	if q.Destination, err = addrPort("dst", f.dst); err != nil {
		return q, err
	}
	if q.Source, err = addrPort("src", f.src); err != nil {
		return q, err
	}
	if f.direct != "" {
		if q.DirectSource, err = netip.ParseAddr(f.direct); err != nil {
			return q, wrongFlag("direct-src", fmt.Errorf("must be an IP address without port, not %q", f.direct))
		}
	}
	if f.transport != "" && !slices.Contains(config.TransportProtocols(), q.TransportProtocol) {
		return q, wrongFlag("transport", fmt.Errorf("must be tls or raw_buffer, not %q", f.transport))
	}
	for _, p := range f.alpn {
		if p == "" {
			return q, wrongFlag("alpn", errors.New("has an empty protocol; separate names with one comma"))
		}
	}
	q.ApplicationProtocols = f.alpn
	q.Payload, err = unhex(f.payload)
	return q, err
}

func addrPort(flag, text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, wrongFlag(flag, errors.New("is needed: IP:PORT, such as 10.4.0.5:9080 or [fd00::5]:9080"))
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, wrongFlag(flag, fmt.Errorf("must be IP:PORT, such as 10.4.0.5:9080 or [fd00::5]:9080, not %q", text))
	}
	return a, nil
}

// unhex joins pieces; white space and colons may separate bytes, as xxd and
// packet captures print them.
func unhex(pieces []string) ([]byte, error) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == ':' {
			return -1
		}
		return r
	}, strings.Join(pieces, ""))
	payload, err := hex.DecodeString(text)
	if err != nil {
		return nil, wrongFlag("payload-hex", fmt.Errorf("must be an even number of hexadecimal digits, such as 474554: %w", err))
	}
	return payload, nil
}
