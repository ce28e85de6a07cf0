package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Apply makes sets the capture rules of this host, whatever was applied
// before; a family without a set is cleaned. Each table changes in one
// transaction of the kernel. If a step fails, those before it are undone in
// reverse, and the error has what the failing tool printed.
func (h Host) Apply(ctx context.Context, sets []RuleSet) error {
	found, err := h.read(ctx, sets)
	if err != nil {
		return fmt.Errorf("reading the rules that stand: %w", err)
	}
	if err := h.execute(ctx, plan(found, sets)); err != nil {
		return err
	}
	if slices.ContainsFunc(sets, func(s RuleSet) bool { return s.Addr != nil && found.routes[s.Family].addr == addrAbsent }) {
		h.awaitAddr(ctx)
	}
	return nil
}

// Clean removes all that Apply made, in whichever mode, and nothing else.
// Nothing to remove is no error. What cannot be removed: the empty nat and
// mangle tables that iptables made when the first rule came. Connections that
// were captured and live may end; see Pause.
func (h Host) Clean(ctx context.Context) error { return h.Apply(ctx, nil) }

// DryRun returns as text what Apply would do, and changes nothing. A process
// that may not even read the rules is told what a host without any would get.
func (h Host) DryRun(ctx context.Context, sets []RuleSet) (string, error) {
	found, err := h.read(ctx, sets)
	if errors.Is(err, ErrPermission) {
		return "# The rules that stand may not be read (no root, no CAP_NET_ADMIN); as on a host without any:\n" +
			renderSteps(plan(hostState{}, sets)), nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the rules that stand: %w", err)
	}
	return renderOrNothing(plan(found, sets)), nil
}

func (h Host) read(ctx context.Context, sets []RuleSet) (hostState, error) {
	found := hostState{tables: map[Family]map[string]*tableState{}, routes: map[Family]routeState{}}
	for _, f := range []Family{IPv4, IPv6} {
		wanted := slices.ContainsFunc(sets, func(s RuleSet) bool { return s.Family == f })
		tables, err := h.readTables(ctx, f, wanted || f == IPv4)
		if err != nil {
			return found, err
		}
		found.tables[f] = tables
		// Without ip nothing of ours can have been made by it.
		needsIP := slices.ContainsFunc(sets, func(s RuleSet) bool { return s.Family == f && (s.Route != nil || s.Addr != nil) })
		if !needsIP && !h.has("ip") {
			continue
		}
		routes, err := h.readRoutes(ctx, f)
		if err != nil && (needsIP || kernelHas(f)) {
			return found, err
		}
		found.routes[f] = routes
	}
	return found, nil
}

// readTables asks for all tables at once: naming one would make the legacy
// iptables create it. A family that must have nothing may lack its tools, or
// the kernel the family: then it has nothing.
func (h Host) readTables(ctx context.Context, f Family, needed bool) (map[string]*tableState, error) {
	if !needed && !h.has(f.saveTool(), f.restoreTool()) {
		return nil, nil
	}
	if _, err := h.find(f.restoreTool()); err != nil {
		return nil, err
	}
	out, err := h.run(ctx, command{name: f.saveTool()})
	if err != nil {
		if !needed && !kernelHas(f) {
			return nil, nil
		}
		return nil, err
	}
	tables, err := parseSave(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.saveTool(), err)
	}
	return tables, nil
}

// execute runs the steps. The way back must be gone also when ctx has ended.
func (h Host) execute(ctx context.Context, steps []step) error {
	for i, s := range steps {
		_, err := h.run(ctx, s.do)
		if err == nil {
			continue
		}
		err = fmt.Errorf("installing the rules: %w", err)
		if undoErr := h.undo(context.WithoutCancel(ctx), steps[:i]); undoErr != nil {
			return fmt.Errorf("%w; and undoing the %d steps before it failed too, so that rules are left: "+
				"run `sluice iptables clean`: %w", err, i, undoErr)
		}
		return fmt.Errorf("%w; nothing was changed (%d earlier steps undone)", err, i)
	}
	return nil
}

func (h Host) undo(ctx context.Context, done []step) error {
	var errs []error
	for _, s := range slices.Backward(done) {
		_, err := h.run(ctx, s.undo)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
