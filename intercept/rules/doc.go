// Package rules installs, prints and removes the iptables rules that capture
// a pod's TCP connections for sluice, in the shape that Istio's
// istio-iptables gives them, so that whoever can read an Istio pod can read
// one of ours.
//
//	o := rules.Default()                       // Istio's ports, uid, marks
//	o.Mode = rules.TProxy
//	sets, err := rules.BuildAll(o, families)   // pure: no process is started
//	fmt.Print(rules.Text(sets))                // what `sluice iptables print` shows
//	host := rules.NewHost(os.Getenv("PATH"))
//	err = host.Apply(ctx, sets)                // all of it or nothing
//	err = host.Pause(ctx)                      // captured connections go on, new ones pass
//	err = host.Clean(ctx)                      // whatever was applied before
//
// The way from flags to packets is one line of pure functions: Options are
// built into a RuleSet for each address family; the RuleSets and what stands
// in the kernel (read by iptables-save and ip) give a plan, which is a list of
// steps with an undo each; only running the plan touches the host.
//
// What is ours is recognised by what stands in the kernel, never by a state
// file, so that it follows the network namespace: chains by their name
// (ISTIO_...), rules in built-in chains by jumping to one of those, policy
// rules and routes by their protocol number (ownerProtocol), the address ::6
// on lo by its metric (ownerMetric).
package rules
