package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/portreporter/portreporter/internal/probe"
)

// engineTester asks the network, as the command line says.
type engineTester struct{ args *portqryArgs }

// test tests one port with PortQry's tries: three by TCP, one by UDP. In a range
// only the verdict counts, as PortQry asked no endpoint mapper there.
func (e engineTester) test(ctx context.Context, t probe.Target) (result probe.Result, err error) {
	r := probe.Runner{SlowLink: e.args.slow, SourcePort: e.args.source}
	r.Probers = slices.DeleteFunc(probers(e.args.community), func(p probe.Prober) bool { return e.args.from > 0 && p.Protocol() == "rpc" })
	if e.args.as != "" {
		if !slices.ContainsFunc(r.Probers, func(p probe.Prober) bool { return p.Protocol() == e.args.as }) {
			return result, unknownProtocol(e.args.as, r.Probers)
		}
		t.Service = e.args.as
	}
	err = r.Run(ctx, slices.Values([]probe.Target{t}), func(got probe.Result) { result = got })
	switch {
	case ctx.Err() != nil:
		return result, ctx.Err()
	case err == nil && result.Verdict == probe.NoVerdict && result.Evidence.Err != nil:
		err = fmt.Errorf("%s port %d: %w", t.Proto, t.Port, result.Evidence.Err)
	}
	return result, err
}
