using System.Reflection;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Transport;
using Xunit.Sdk;

namespace NetdumpCollector.Actors.Tests;

/// <summary>Runs a theory once on each transport that works here.</summary>
internal sealed class EveryTransportAttribute : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
        Transports.Available.Select(transport => new object[] { transport.Name });
}

/// <summary>Runs a theory on each transport that works here, in both endpoint modes.</summary>
internal sealed class EveryEndpointAttribute : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) =>
        from transport in Transports.Available
        from mode in Enum.GetValues<EndpointMode>()
        select new object[] { transport.Name, mode };
}
