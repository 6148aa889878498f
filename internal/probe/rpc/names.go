package rpc

// knownInterface is what the documented interface of a UUID is called, "" for
// others. From the protocol documents of Microsoft's Open Specifications, whose
// short names are given, and C706.
func knownInterface(uuid string) string {
	switch uuid {
	case epmUUID:
		return "Endpoint mapper"
	case "afa8bd80-7d8a-11c9-bef4-08002b102989":
		return "Remote management"
	case "12345778-1234-abcd-ef00-0123456789ab":
		return "Local Security Authority (MS-LSAD, MS-LSAT)"
	case "12345778-1234-abcd-ef00-0123456789ac":
		return "Security Account Manager (MS-SAMR)"
	case "12345678-1234-abcd-ef00-01234567cffb":
		return "Netlogon (MS-NRPC)"
	case "12345678-1234-abcd-ef00-0123456789ab":
		return "Print spooler (MS-RPRN)"
	case "76f03f96-cdfd-44fc-a22c-64950a001209":
		return "Print spooler, asynchronous (MS-PAR)"
	case "e3514235-4b06-11d1-ab04-00c04fc2dcd2":
		return "Directory replication (MS-DRSR)"
	case "f5cc5a18-4264-101a-8c59-08002b2f8426":
		return "Name service provider (MS-NSPI)"
	case "1544f5e0-613c-11d1-93df-00c04fd7bd09":
		return "Address book referral (MS-OXABREF)"
	case "a4f1db00-ca47-1067-b31f-00dd010662da":
		return "Exchange store (MS-OXCRPC)"
	case "ecec0d70-a603-11d0-96b1-00a0c91ece30":
		return "Directory backup"
	case "16e0cf3a-a604-11d0-96b1-00a0c91ece30":
		return "Directory restore"
	case "367abb81-9844-35f1-ad32-98f038001003":
		return "Service control manager (MS-SCMR)"
	case "338cd001-2244-31f1-aaaa-900038001003":
		return "Remote registry (MS-RRP)"
	case "4b324fc8-1670-01d3-1278-5a47bf6ee188":
		return "Server service (MS-SRVS)"
	case "6bffd098-a112-3610-9833-46c3f87e345a":
		return "Workstation service (MS-WKST)"
	case "6bffd098-a112-3610-9833-012892020162":
		return "Browser (MS-BRWSA)"
	case "1ff70682-0a51-30e8-076d-740be8cee98b":
		return "Task scheduler, AT (MS-TSCH)"
	case "378e52b0-c0a9-11cf-822d-00aa0051e40f":
		return "Task scheduler, SASec (MS-TSCH)"
	case "86d35949-83c9-4044-b424-db363231fd0c":
		return "Task scheduler (MS-TSCH)"
	case "82273fdc-e32a-18c3-3f78-827929dc23ea":
		return "Event log (MS-EVEN)"
	case "f6beaff7-1e19-4fbb-9f8f-b89e2018337c":
		return "Event log, version 6 (MS-EVEN6)"
	case "50abc2a4-574d-40b3-9d66-ee4fd5fba076":
		return "DNS server (MS-DNSP)"
	case "897e2e5f-93f3-4376-9c9c-fd2277495c27":
		return "DFS replication (MS-FRS2)"
	case "f5cc59b4-4264-101a-8c59-08002b2f8426":
		return "File replication (MS-FRS1)"
	case "d049b186-814f-11d1-9a3c-00c04fc9b232":
		return "File replication API (MS-FRS1)"
	case "4fc742e0-4a10-11cf-8273-00aa004ae673":
		return "DFS namespaces (MS-DFSNM)"
	case "3919286a-b10c-11d0-9ba8-00c04fd92ef5":
		return "Directory setup (MS-DSSP)"
	case "000001a0-0000-0000-c000-000000000046", "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57":
		return "DCOM activation (MS-DCOM)"
	case "99fcfec4-5260-101b-bbcb-00aa0021347a":
		return "DCOM object resolver (MS-DCOM)"
	case "91ae6020-9e3c-11cf-8d7c-00aa00c091be":
		return "Certificate enrolment (MS-ICPR)"
	case "300f3532-38cc-11d0-a3f0-0020af6b0add":
		return "Link tracking (MS-DLTW)"
	case "d95afe70-a6d5-4259-822e-2c84da1ddb0d", "894de0c0-0d55-11d3-a322-00c04fa321a1":
		return "Remote shutdown (MS-RSP)"
	case "45f52c28-7f9f-101a-b52b-08002b2efabe":
		return "WINS (MS-RAIW)"
	case "6bffd098-a112-3610-9833-46c3f874532d", "5b821720-f63b-11d0-aad2-00c04fc324db":
		return "DHCP server (MS-DHCPM)"
	case "c681d488-d850-11d0-8c52-00c04fd90f7e", "df1941c5-fe89-4e79-bf10-463657acf44d":
		return "Encrypting file system (MS-EFSR)"
	case "2f5f6520-ca46-1067-b319-00dd010662da":
		return "Telephony (MS-TRP)"
	case "8d9f4e40-a03d-11ce-8f69-08003e30051b":
		return "Plug and Play"
	case "906b0ce0-c70b-1067-b317-00dd010662da":
		return "Distributed transactions (MS-CMPO)"
	case "b97db8b2-4c63-11cf-bff6-08002be23f2f":
		return "Failover cluster (MS-CMRP)"
	case "ccd8c074-d0e5-4a40-92b4-d074faa6ba28":
		return "Service witness (MS-SWN)"
	case "3dde7c30-165d-11d1-ab8f-00805f14db40":
		return "Backup keys (MS-BKRP)"
	case "fdb3a030-065f-11d1-bb9b-00a024ea5525":
		return "Message queuing (MS-MQMP)"
	case "5ca4a760-ebb1-11cf-8611-00a0245420ed":
		return "Terminal services (MS-TSTS)"
	}
	return ""
}
