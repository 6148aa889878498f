package probe

import "testing"

func TestWords(t *testing.T) {
	for v, want := range map[Verdict]string{NoVerdict: "UNKNOWN", Listening: "LISTENING", NotListening: "NOT LISTENING", Filtered: "FILTERED", ListeningOrFiltered: "LISTENING or FILTERED"} {
		if v.String() != want {
			t.Errorf("%d is %q, want %q", v, v, want)
		}
	}
	if TCP.String() != "tcp" || UDP.String() != "udp" || Proto(1).String() != "?" {
		t.Error("words of the transports")
	}
}

func TestAnswer(t *testing.T) {
	var a Answer
	a.Add("none")
	a.Add("namingContexts", "DC=example", "CN=Schema")
	if len(a.Fields) != 1 || a.Get("namingContexts") != "DC=example" || a.Get("none") != "" {
		t.Errorf("%+v", a.Fields)
	}
}
