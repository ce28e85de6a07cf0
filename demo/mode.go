package main

import (
	"fmt"
	"strings"
)

// mode is how inbound connections are captured, as interception_mode in the
// configuration names it.
type mode string

const (
	redirect mode = "redirect"
	tproxy   mode = "tproxy"
)

func (m mode) check() error {
	if m != redirect && m != tproxy {
		return fmt.Errorf("intercept mode %q: use redirect or tproxy", string(m))
	}
	return nil
}

// flagValue is the mode as sluice iptables takes it.
func (m mode) flagValue() string { return strings.ToUpper(string(m)) }

// capabilities are what the sidecar needs in this mode, by their setpriv(1)
// names: none to be redirected to, one for IP_TRANSPARENT and SO_MARK.
func (m mode) capabilities() []string {
	if m == tproxy {
		return []string{"net_raw"}
	}
	return nil
}

// inboundSource is the address from which the application sees an inbound
// connection of a client.
func (m mode) inboundSource(client string) string {
	if m == tproxy {
		return client
	}
	return "127.0.0.6"
}
