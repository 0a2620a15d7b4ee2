// the library fetches parts of itself when they are needed, which other formats of workers cannot
export default { worker: { format: 'es' } };
