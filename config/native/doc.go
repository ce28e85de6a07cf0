// Package native reads sluice's own YAML into the config model, strictly:
// unknown and doubled keys, wrong types, values out of range, dangling
// references and impossible combinations are all reported in one go, each
// with file, line and key path.
//
//	loaded, err := native.Load("sluice.yaml", native.Options{Environ: os.Environ()})
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err) // sluice.yaml:12: listeners[0].address: must be …
//	}
//	use(loaded.Config)
//
// What the daemon finds wrong later is given the same form by
// loaded.Explain(problems). Dump writes a configuration back as YAML, ToMap as
// plain values for JSON, and Schema describes what is accepted.
//
// Loader, dumper and schema all follow from the model itself: a key is the
// field's name in snake_case (snake), a default is what config.Default… says
// (defaultOf), and notes, later and laterValues hold what Go types cannot say.
// A file passes through these stages:
//
//	parseDocument  bytes to a YAML node tree, one document, syntax errors
//	checker        tree against shape: plain values, problems with lines
//	decode         plain values and overrides through viper into config.Config
//	config.Normalize, config.Validate, Options.Prepare
package native
