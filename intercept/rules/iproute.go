package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ownerProtocol marks policy rules and routes as ours (the protocol field of
// rtnetlink(7), free for any use above 4), ownerMetric the address ::6. Our
// policy rule stands first after that of the local table, where the kernel
// puts a rule without a priority too; a number of ours does not depend on
// what else is there.
const (
	ownerProtocol = "133"
	ownerMetric   = 1337
	rulePriority  = "1"
)

// routeState is what stands of policy routing and of ::6 in one family.
type routeState struct {
	rules  []policyRule
	tables []localTable
	addr   addrState
}

type policyRule struct {
	PolicyRoute
	ours bool
}

type localTable struct {
	table uint32
	ours  bool
}

type addrState int

const (
	addrAbsent addrState = iota
	addrOurs
	addrForeign
)

// readRoutes needs iproute2 with JSON output and -N, which is version 5 and
// later (2019).
func (h Host) readRoutes(ctx context.Context, f Family) (routeState, error) {
	var s routeState
	var rules []struct {
		Src      string `json:"src"`
		Mark     string `json:"fwmark"`
		Mask     string `json:"fwmask"`
		Table    string `json:"table"`
		Protocol string `json:"protocol"`
	}
	if err := h.readJSON(ctx, &rules, f.ipFlag(), "rule", "show"); err != nil {
		return s, err
	}
	for _, r := range rules {
		mark, markErr := strconv.ParseUint(r.Mark, 0, 32)
		table, tableErr := strconv.ParseUint(r.Table, 0, 32)
		if markErr != nil || tableErr != nil || r.Mask != "" || r.Src != "all" {
			continue // not a rule that we could have made
		}
		s.rules = append(s.rules, policyRule{PolicyRoute{uint32(mark), uint32(table)}, r.Protocol == ownerProtocol})
	}
	var routes []struct {
		Dst      string `json:"dst"`
		Dev      string `json:"dev"`
		Table    string `json:"table"`
		Protocol string `json:"protocol"`
	}
	if err := h.readJSON(ctx, &routes, f.ipFlag(), "route", "show", "table", "all", "type", "local"); err != nil {
		return s, err
	}
	for _, r := range routes {
		table, err := strconv.ParseUint(r.Table, 0, 32)
		if err == nil && r.Dst == "default" && r.Dev == "lo" {
			s.tables = append(s.tables, localTable{uint32(table), r.Protocol == ownerProtocol})
		}
	}
	if f == IPv6 {
		return s, h.readAddr(ctx, &s)
	}
	return s, nil
}

func (h Host) readAddr(ctx context.Context, s *routeState) error {
	var devices []struct {
		Addrs []struct {
			Local  string `json:"local"`
			Metric int    `json:"metric"`
		} `json:"addr_info"`
	}
	if err := h.readJSON(ctx, &devices, "-6", "addr", "show", "dev", "lo"); err != nil {
		return err
	}
	for _, d := range devices {
		for _, a := range d.Addrs {
			if a.Local+"/128" != passthroughIPv6 {
				continue
			}
			s.addr = addrForeign
			if a.Metric == ownerMetric {
				s.addr = addrOurs
			}
		}
	}
	return nil
}

func (h Host) readJSON(ctx context.Context, into any, args ...string) error {
	c := command{name: "ip", args: append([]string{"-N", "-j"}, args...)}
	out, err := h.run(ctx, c)
	if err != nil {
		return err
	}
	if strings.TrimSpace(out) == "" {
		return nil // nothing to show
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrOutput, c, err)
	}
	return nil
}

// routeSteps are the calls of ip that lead to what set wants: those that add
// come before the tables are written, those that remove after, so that no
// packet is marked for a routing table that is not there.
func (s routeState) routeSteps(set RuleSet) (adds, removals []step) {
	f := set.Family
	if set.Route != nil {
		if !slices.ContainsFunc(s.rules, func(r policyRule) bool { return r.PolicyRoute == *set.Route }) {
			adds = append(adds, added(f, ruleArgs(*set.Route)...))
		}
		if !slices.ContainsFunc(s.tables, func(t localTable) bool { return t.table == set.Route.Table }) {
			adds = append(adds, added(f, tableArgs(set.Route.Table)...))
		}
	}
	if set.Addr != nil && s.addr == addrAbsent {
		adds = append(adds, added(f, addrArgs()...))
	}
	for _, r := range s.rules {
		if r.ours && (set.Route == nil || *set.Route != r.PolicyRoute) {
			removals = append(removals, removed(f, ruleArgs(r.PolicyRoute)...))
		}
	}
	for _, t := range s.tables {
		if t.ours && (set.Route == nil || set.Route.Table != t.table) {
			removals = append(removals, removed(f, tableArgs(t.table)...))
		}
	}
	if set.Addr == nil && s.addr == addrOurs {
		removals = append(removals, removed(f, addrArgs()...))
	}
	return adds, removals
}

func ruleArgs(r PolicyRoute) []string {
	return []string{"rule", "add", "priority", rulePriority, "fwmark", number(r.Mark), "lookup", number(r.Table), "protocol", ownerProtocol}
}

func tableArgs(table uint32) []string {
	return []string{"route", "add", "local", "default", "dev", "lo", "table", number(table), "proto", ownerProtocol}
}

// addrArgs: preferred_lft 0 keeps the kernel from ever choosing ::6 as a
// source by itself; whoever binds to it still can, and with nodad at once. Without
// it the address is tentative, also on lo, until a kernel thread has been there.
func addrArgs() []string {
	return []string{"addr", "add", passthroughIPv6, "dev", "lo", "metric", strconv.Itoa(ownerMetric), "nodad", "preferred_lft", "0"}
}

// addrTime bounds a wait for a kernel thread.
const addrTime = 2 * time.Second

// awaitAddr waits until what is sent to the address that was added finds it. The
// kernel makes the route of an IPv6 address, also of one with nodad, in a thread of
// its own (addrconf_dad_work), and until then answers go to the default route. The rules
// stand already: where lo is down, and the route comes when it is up, no more than time
// is lost.
func (h Host) awaitAddr(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, addrTime)
	defer cancel()
	for {
		routes, err := h.run(ctx, ipCommand(IPv6, []string{"route", "show", "table", "local", passthroughIPv6}))
		if err != nil || strings.TrimSpace(routes) != "" {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func added(f Family, args ...string) step {
	return step{do: ipCommand(f, args), undo: ipCommand(f, inverse(args))}
}

func removed(f Family, args ...string) step {
	return step{do: ipCommand(f, inverse(args)), undo: ipCommand(f, args)}
}

// inverse turns "OBJECT add ..." into "OBJECT del ...". An address is deleted
// by itself alone: lifetimes belong to add.
func inverse(args []string) []string {
	out := slices.Clone(args)
	out[1] = "del"
	if out[0] == "addr" {
		out = out[:5]
	}
	return out
}

func ipCommand(f Family, args []string) command {
	return command{name: "ip", args: append([]string{f.ipFlag()}, args...)}
}
