// Package explain answers where a connection would go and why, without a socket:
// hand-over between listeners, listener filters over the client's first bytes,
// filter chain, rbac, cluster and endpoints. It asks the same code as the loops
// and only adds the words.
//
//	tables, err := explain.NewTables(cfg)
//	answer, err := tables.Explain(explain.Question{Listener: "virtualInbound", ...})
//	fmt.Print(answer.Text())
//
// What depends on other connections it cannot know: limits, rates, and whether
// an endpoint answers.
package explain
