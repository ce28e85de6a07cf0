// Package outlier finds endpoints that do worse than the others by how
// connections to them end, ejects them for a time and lets them back: Envoy's
// outlier detection for TCP, with its names, defaults and arithmetic.
//
//	d := outlier.New(outlier.SettingsOf(c.OutlierDetection), outlier.Options{Changed: changed})
//	m := d.Add(endpoint)
//
//	if m.Report(outlier.LocalConnectFailed) { // on an event loop
//		... // have d.Settle(time.Now()) called soon, off the loops
//	}
//
//	d.Sweep(now) // whenever d.Next(now) has come
//
// A Detector has no goroutine, no socket and no clock: whoever owns it says
// what the time is, so that hours of failures run in a test at once. Reports
// come from any thread and cost an atomic addition or two; everything else is
// for the goroutines beside the loops.
//
// What is no fault of the endpoint must not be reported: EADDRNOTAVAIL (this
// host has no source port left), EMFILE and ENFILE (no descriptor), and
// connections that the client gave up. Package cluster tells them apart
// (cluster.Blame).
//
// The model is explained in docs/outlier.md. Source of the arithmetic: Envoy's
// architecture overview, "Outlier detection", and its
// outlier_detection_impl.cc.
package outlier
