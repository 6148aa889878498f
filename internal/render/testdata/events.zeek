#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	orig_bytes	resp_bytes	conn_state	local_orig	local_resp	missed_bytes	history	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes	tunnel_parents	community_id	pid	process	exe	user
#types	time	string	addr	port	addr	port	enum	string	interval	count	count	string	bool	bool	count	string	count	count	count	count	set[string]	string	count	string	string	string
1795552912.591855	Cp3FeFK5WCfW3l4U6q	127.0.0.1	49188	127.0.0.1	5001	tcp	-	0.602931	1000	0	SF	-	T	-	-	-	-	-	-	-	1:xIj8o2rn/KQy8X/Rlx5Fs+Ilq9Q=	23155	python3	/usr/bin/python3.11	root
1795552914.195786	Cpn1E5D4ezGmMNNXzy	2001:db8::1	443	2001:db8::2	50000	tcp	-	-	-	-	RSTR	T	-	-	-	-	-	-	-	-	1:UFel+zfGDXB/GhABjlRQUzVNUI8=	23155	evil\x1b[31m\xe2\x80\xae\x0a\xff\xc2\x9b"\x5c,\xf3\xa0\x80\x81\xc3\xa9\xe6\xbc\xa2	/opt/evil\x1b[31m\xe2\x80\xae\x0a\xff\xc2\x9b"\x5c,\xf3\xa0\x80\x81\xc3\xa9\xe6\xbc\xa2	-
1795552915.196786	Ccj4Q7uFBNMMbeBgGJ	10.0.0.1	40000	10.9.9.9	22	tcp	-	-	-	-	REJ	T	-	-	-	-	-	-	-	-	1:X1LSNsUGU50CoS2Z+BK/o5/JYtk=	23155	python3	/usr/bin/python3.11	root
1795552860.202786	CPXJoJCiiilR8PFtP5	10.0.0.1	40002	9.9.9.9	53	udp	-	61.000000	80	123456	SF	T	-	-	-	3	-	2	-	-	1:MHuUBW3N0JTznkZXc5/+sCgiBFU=	23155	python3	/usr/bin/python3.11	root
1795552924.205786	CeE5mD6cjkRAo9VKlM	203.0.113.9	6000	10.0.0.1	4444	tcp	-	-	-	-	REJ	-	T	-	-	-	-	-	-	-	1:iuR0htYFOmRalPOoTI05sgZCIz8=	-	-	-	-
1795552918.199786	CQ4C6tehv02nh57S2s	10.0.0.1	40001	93.184.216.34	443	tcp	-	-	-	-	S1	T	-	-	-	-	-	-	-	-	1:h0w4zkY7nNUlX+0vmklEDMSGvt8=	23155	python3	/usr/bin/python3.11	root
1795552925.206786	CGgQ9XE2bhjoyVBpOh	10.0.0.1	22	203.0.113.9	6001	tcp	-	-	-	-	OTH	T	-	-	-	-	-	-	-	-	1:iotEWRjG2z3yDuAASFoDc1owTCk=	-	-	-	-
