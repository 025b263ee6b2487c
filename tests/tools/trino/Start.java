/** Starts Trino's server from its jars: the class that does it in Trino's own
 * archive is in no registry. By reflection, so that an older compiler does. */
public class Start {
	public static void main(String[] args) throws Exception {
		Class<?> server = Class.forName("io.trino.server.Server");
		Object made = server.getConstructor().newInstance();

		server.getMethod("start", String.class).invoke(made, args[0]);
	}
}
